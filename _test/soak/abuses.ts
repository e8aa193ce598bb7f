/** Ways in which clients abuse a server, on plain sockets. */

import net from "node:net";
import { delay } from "@std/async";

/** A server to be abused. */
export interface Target {
  readonly name: string;
  readonly address:
    | { transport: "tcp"; hostname: string; port: number }
    | { transport: "unix"; path: string };
  readonly tls: boolean;
}

/** A kind of abuse. */
export interface Abuse {
  readonly name: string;
  /** The pause between two abuses, in milliseconds. */
  readonly pause: number;
  suits(target: Target): boolean;
  once(target: Target): Promise<void>;
}

const encoder = new TextEncoder();
const everywhere = () => true;

export function connectTo(target: Target): Promise<Deno.Conn> {
  const { address } = target;
  return address.transport === "tcp"
    ? Deno.connect(address)
    : Deno.connect(address);
}

/** Opens a connection while a body runs. */
async function connected(
  target: Target,
  body: (conn: Deno.Conn) => Promise<unknown>,
): Promise<void> {
  const conn = await connectTo(target);
  try {
    await body(conn);
  } finally {
    conn.close();
  }
}

function garbage(size: number): Uint8Array<ArrayBuffer> {
  return crypto.getRandomValues(new Uint8Array(size));
}

export const ABUSES: readonly Abuse[] = [
  {
    name: "garbage",
    pause: 20,
    suits: everywhere,
    once: (target) =>
      connected(target, async (conn) => {
        await conn.write(garbage(20_000));
        await conn.read(new Uint8Array(1000));
      }),
  },
  {
    name: "long line",
    pause: 20,
    suits: everywhere,
    once: (target) =>
      connected(target, async (conn) => {
        const data = new Uint8Array(60_000).fill(120);
        for (let i = 0; i < 5; i++) await conn.write(data);
        await conn.read(new Uint8Array(1000));
      }),
  },
  {
    name: "slow sender",
    pause: 20,
    suits: everywhere,
    once: (target) =>
      connected(target, async (conn) => {
        for (const byte of "slowly\n") {
          await conn.write(encoder.encode(byte));
          await delay(20);
        }
      }),
  },
  {
    name: "half close",
    pause: 20,
    suits: everywhere,
    once: (target) =>
      connected(target, async (conn) => {
        await conn.write(encoder.encode("half a li"));
        await conn.closeWrite();
        await conn.read(new Uint8Array(1000));
      }),
  },
  {
    name: "reset",
    pause: 50,
    suits: ({ address }) => address.transport === "tcp",
    once: async (target) => {
      await Promise.all([1, 2, 3].map(() => reset(target)));
    },
  },
  {
    name: "never reads",
    pause: 50,
    suits: ({ tls }) => !tls,
    once: (target) =>
      connected(target, async (conn) => {
        await conn.write(encoder.encode("flood\n"));
        await delay(100);
      }),
  },
  {
    name: "says nothing",
    pause: 50,
    suits: everywhere,
    once: (target) => connected(target, () => delay(100)),
  },
  {
    name: "is forgotten",
    pause: 20,
    suits: ({ tls }) => !tls,
    once: (target) =>
      connected(target, async (conn) => {
        await conn.write(encoder.encode("forget\n"));
        await conn.read(new Uint8Array(1000));
      }),
  },
  {
    name: "broken handshake",
    pause: 20,
    suits: ({ tls }) => tls,
    once: (target) =>
      connected(target, async (conn) => {
        await conn.write(new Uint8Array([22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3]));
        await delay(10);
      }),
  },
  {
    name: "distrusts the certificate",
    pause: 50,
    suits: ({ tls }) => tls,
    once: async (target) => {
      const conn = await connectTo(target) as Deno.TcpConn;
      using tls = await Deno.startTls(conn, { hostname: "localhost" });
      await tls.handshake();
    },
  },
  {
    name: "burst",
    pause: 500,
    suits: everywhere,
    once: async (target) => {
      const conns = await Promise.all(
        Array.from({ length: 20 }, () => connectTo(target)),
      );
      for (const conn of conns) conn.close();
    },
  },
];

/** Connects, and resets the connection at once. */
function reset({ address }: Target): Promise<void> {
  if (address.transport !== "tcp") throw new TypeError("Only TCP has resets");
  const { port, hostname } = address;
  return new Promise((resolve) => {
    const socket = net.connect(port, hostname, () => socket.resetAndDestroy());
    socket.on("error", () => {});
    socket.on("close", () => resolve());
  });
}
