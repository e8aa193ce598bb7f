// Streams and servers with wrong arguments of every kind.

import {
  openConnection,
  openUnixConnection,
  Server,
  startServer,
  startUnixServer,
  StreamReader,
  StreamWriter,
  WriteTransport,
} from "@asyncio/asyncio";
import {
  alsoTaking,
  type Any,
  ANYTHING,
  assertRefuses,
  FLAGS,
  FUNCTIONS,
  LIMITS,
  NUMBERS,
  optionRows,
  plain,
  REAL_NUMBERS,
  type Row,
  SIGNAL,
  STRINGS,
} from "./_bad_values.ts";
import { readAll, readerOf } from "./_streams.ts";
import { inspect } from "./_inspect.ts";

const BYTES = [...STRINGS, "Uint8Array"];

/** A port to which nobody listens, if a call should get that far. */
const PORT = 1;
const PATH = "/nowhere/socket";
/** Ends a call with right arguments before it asks the system. */
const ABORTED = { signal: AbortSignal.abort() };

/** A reader that has some bytes, and is at its end if it is not to wait. */
function onReader(
  call: (it: StreamReader, value: Any) => unknown,
  eof = true,
): Row["make"] {
  return () => {
    const it = readerOf(["line\n"], { eof });
    return {
      call: (value) => call(it, value),
      state: () => inspect(it) + it.exception(),
    };
  };
}

/** The writer of a connection that is open. */
function onWriter(
  call: (it: StreamWriter, value: Any) => unknown,
): Row["make"] {
  return async () => {
    const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const { port } = listener.addr;
    const [peer, [, it]] = await Promise.all([
      listener.accept(),
      openConnection("127.0.0.1", port),
    ]);
    listener.close();
    return {
      call: (value) => call(it, value),
      state: () => `${inspect(it)} ${it.transport.getWriteBufferLimits()}`,
      end: async () => {
        it.close();
        await readAll(peer);
        peer.close();
        await it.waitClosed();
      },
    };
  };
}

/** A server that is not serving yet. */
function onServer(call: (it: Server, value: Any) => unknown): Row["make"] {
  return async () => {
    const it = await startServer(() => {}, "127.0.0.1", 0, {
      startServing: false,
    });
    return {
      call: (value) => call(it, value),
      state: () => inspect(it),
      end: async () => {
        it.close();
        await it.waitClosed();
      },
    };
  };
}

const readers: Row[] = [
  ...optionRows("new StreamReader()", plain((it) => new StreamReader(it)), {
    limit: LIMITS,
  }),
  {
    name: "StreamReader.read(n)",
    make: onReader((it, n) => it.read(n)),
    accepts: [
      "undefined",
      ...NUMBERS.filter((n) => n !== "1.5" && n !== "NaN"),
    ],
    isAsync: true,
  },
  {
    name: "StreamReader.readexactly(n)",
    make: onReader((it, n) => it.readexactly(n)),
    accepts: ["0"],
    isAsync: true,
  },
  {
    name: "StreamReader.readuntil(separator)",
    make: onReader((it, separator) => it.readuntil(separator)),
    accepts: ["undefined", '"x"', '"5"', "Uint8Array"],
    isAsync: true,
  },
  ...[true, false].flatMap((eof) => [
    ...optionRows(
      `StreamReader.read() ${eof ? "at the end" : "that waits"}`,
      onReader((it, options) => it.read(-1, options), eof),
      SIGNAL,
      true,
    ),
    ...optionRows(
      `StreamReader.readline() ${eof ? "at the end" : "that waits"}`,
      onReader((it, options) => it.readline(options), eof),
      SIGNAL,
      true,
    ),
    ...optionRows(
      `StreamReader.readexactly() ${eof ? "at the end" : "that waits"}`,
      onReader((it, options) => it.readexactly(9, options), eof),
      SIGNAL,
      true,
    ),
    ...optionRows(
      `StreamReader.readuntil() ${eof ? "at the end" : "that waits"}`,
      onReader((it, options) => it.readuntil("x", options), eof),
      SIGNAL,
      true,
    ),
  ]),
  {
    name: "StreamReader.feedData(data)",
    make: onReader((it, data) => it.feedData(data), false),
    accepts: BYTES,
  },
];

const writers: Row[] = [
  {
    name: "new StreamWriter(pump)",
    make: plain((it) => Reflect.construct(StreamWriter, [it])),
    accepts: [],
  },
  {
    name: "new WriteTransport(pump)",
    make: plain((it) => Reflect.construct(WriteTransport, [it])),
    accepts: [],
  },
  {
    name: "StreamWriter.write(data)",
    make: onWriter((it, data) => it.write(data)),
    accepts: BYTES,
  },
  {
    name: "StreamWriter.writelines(data)",
    make: onWriter((it, data) => it.writelines(data)),
    accepts: ["[]", "Map", ...STRINGS],
  },
  {
    name: "StreamWriter.writelines([data])",
    make: onWriter((it, data) => it.writelines(["x", data])),
    accepts: BYTES,
  },
  ...(["drain", "waitClosed"] as const).flatMap((method) =>
    optionRows(
      `StreamWriter.${method}()`,
      onWriter((it, options) => it[method](options)),
      SIGNAL,
      true,
    )
  ),
  ...optionRows(
    "StreamWriter.startTls()",
    onWriter((it, options) => it.startTls(options)),
    {
      ...SIGNAL,
      hostname: STRINGS,
      caCerts: ["[]"],
      alpnProtocols: ["[]"],
      unsafelyDisableHostnameVerification: FLAGS,
      sslHandshakeTimeout: ["1.5", ...LIMITS],
      sslShutdownTimeout: ["1.5", ...LIMITS],
    },
    true,
  ),
  {
    name: "StreamWriter.getExtraInfo(name)",
    make: onWriter((it, name) => it.getExtraInfo(name)),
    accepts: STRINGS,
  },
  ...optionRows(
    "WriteTransport.setWriteBufferLimits()",
    onWriter((it, limits) => it.transport.setWriteBufferLimits(limits)),
    {
      high: ["0", "1.5", ...LIMITS],
      low: ["0", "1.5", ...LIMITS],
    },
  ),
];

const CLIENT_TLS = {
  hostname: STRINGS,
  port: ANYTHING,
  cert: STRINGS,
  key: STRINGS,
  keyFormat: STRINGS,
  caCerts: ["[]"],
  alpnProtocols: ["[]"],
  unsafelyDisableHostnameVerification: FLAGS,
};

const connecting: Row[] = [
  {
    name: "openConnection(host)",
    make: plain((host) => openConnection(host, PORT, ABORTED)),
    accepts: ['"x"', '"5"'],
    isAsync: true,
  },
  {
    name: "openConnection(…, port)",
    make: plain((port) => openConnection("127.0.0.1", port)),
    accepts: [],
    isAsync: true,
  },
  ...optionRows(
    "openConnection()",
    plain((options) => openConnection("127.0.0.1", PORT, options)),
    {
      ...SIGNAL,
      limit: LIMITS,
      tls: ["{}", "null prototype", ...FLAGS],
      happyEyeballsDelay: REAL_NUMBERS,
      sslHandshakeTimeout: [],
      sslShutdownTimeout: [],
    },
    true,
  ),
  ...alsoTaking(
    FLAGS,
    optionRows(
      "openConnection({ tls })",
      plain((tls) => openConnection("127.0.0.1", PORT, { tls })),
      CLIENT_TLS,
      true,
    ),
  ),
  {
    name: "openConnection({ conn })",
    make: plain((conn) => openConnection({ conn })),
    accepts: [],
    isAsync: true,
  },
  {
    name: "openUnixConnection(path)",
    make: plain(openUnixConnection),
    accepts: ['"x"', '"5"'],
    isAsync: true,
  },
  ...optionRows(
    "openUnixConnection()",
    plain((options) => openUnixConnection(PATH, options)),
    { ...SIGNAL, limit: LIMITS },
    true,
  ),
];

const nobody = () => {};

const servers: Row[] = [
  {
    name: "startServer(callback)",
    make: plain((callback) => startServer(callback, "127.0.0.1", 0)),
    accepts: FUNCTIONS,
    isAsync: true,
  },
  {
    name: "startServer(…, host)",
    make: plain((host) => startServer(nobody, host, 0, ABORTED)),
    accepts: ["null", ...STRINGS],
    isAsync: true,
  },
  {
    name: "startServer(…, [host])",
    make: plain((host) => startServer(nobody, [host], 0, ABORTED)),
    accepts: STRINGS,
    isAsync: true,
  },
  {
    name: "startServer(…, port)",
    make: plain((port) => startServer(nobody, "127.0.0.1", port)),
    accepts: ["0"],
    isAsync: true,
  },
  ...optionRows(
    "startServer()",
    plain((options) => startServer(nobody, "127.0.0.1", 0, options)),
    {
      ...SIGNAL,
      limit: LIMITS,
      backlog: ["0"],
      reusePort: FLAGS,
      tls: [],
      startServing: FLAGS,
      sslHandshakeTimeout: [],
      sslShutdownTimeout: [],
    },
    true,
  ),
  ...Object.entries({
    cert: STRINGS,
    key: STRINGS,
    alpnProtocols: ["undefined", "[]"],
    misspelt: [],
  }).map(([option, accepts]) => ({
    name: `startServer({ tls }) { ${option} }`,
    make: plain((it) => {
      const tls = { cert: "x", key: "x", [option]: it };
      return startServer(nobody, "127.0.0.1", 0, { tls });
    }),
    accepts,
    isAsync: true,
  })),
  {
    name: "startUnixServer(callback)",
    make: plain((callback) => startUnixServer(callback, PATH)),
    accepts: FUNCTIONS,
    isAsync: true,
  },
  {
    name: "startUnixServer(…, path)",
    make: plain((path) => startUnixServer(nobody, path, ABORTED)),
    accepts: STRINGS,
    isAsync: true,
  },
  ...optionRows(
    "startUnixServer()",
    plain((options) => startUnixServer(nobody, PATH, options)),
    {
      ...SIGNAL,
      limit: LIMITS,
      startServing: FLAGS,
      cleanupSocket: FLAGS,
    },
    true,
  ),
  {
    name: "new Server(parts)",
    make: plain((parts) => Reflect.construct(Server, [parts])),
    accepts: [],
  },
  ...(["serveForever", "waitClosed"] as const).flatMap((method) =>
    optionRows(
      `Server.${method}()`,
      onServer((it, options) => it[method](options)),
      SIGNAL,
      true,
    )
  ),
];

for (const row of [...readers, ...writers, ...connecting, ...servers]) {
  Deno.test(`${row.name} refuses wrong values and no right ones`, () =>
    assertRefuses(row));
}
