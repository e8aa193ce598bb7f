// Processes with wrong arguments of every kind.

import {
  createSubprocessExec,
  createSubprocessShell,
  DEVNULL,
  PIPE,
  Process,
} from "@asyncio/asyncio";
import {
  type Any,
  assertRefuses,
  FLAGS,
  LIMITS,
  optionRows,
  plain,
  type Row,
  SIGNAL,
  STRINGS,
} from "./_bad_values.ts";

/** `null` is left out too, as Python's `None`. */
const NONE = ["null"];

const OPTIONS = {
  ...SIGNAL,
  stdin: NONE,
  stdout: NONE,
  stderr: NONE,
  limit: [...NONE, ...LIMITS],
  // The system has an answer of its own for strings.
  cwd: [...NONE, ...STRINGS],
  env: [...NONE, "{}", "null prototype"],
  clearEnv: [...NONE, ...FLAGS],
  user: [...NONE, "0"],
  group: [...NONE, "0"],
  startNewSession: [...NONE, ...FLAGS],
};

/** A process that reads what it never gets. */
function onProcess(call: (it: Process, value: Any) => unknown): Row["make"] {
  return async () => {
    const it = await createSubprocessExec("cat", [], { stdin: PIPE });
    return {
      call: (value) => call(it, value),
      state: () => Deno.inspect(it),
      end: () => it[Symbol.asyncDispose](),
    };
  };
}

const starting: Row[] = [
  {
    name: "createSubprocessExec(program)",
    make: plain(createSubprocessExec),
    // An empty name is a program that is not found.
    accepts: STRINGS,
    isAsync: true,
  },
  {
    name: "createSubprocessExec(…, args)",
    make: plain((args) => createSubprocessExec("true", args)),
    accepts: ["undefined", "[]"],
    isAsync: true,
  },
  {
    name: "createSubprocessExec(…, [arg])",
    make: plain((arg) => createSubprocessExec("true", [arg])),
    accepts: STRINGS,
    isAsync: true,
  },
  {
    name: "createSubprocessShell(cmd)",
    make: plain((cmd) => createSubprocessShell(cmd, { stderr: DEVNULL })),
    accepts: STRINGS,
    isAsync: true,
  },
  ...optionRows(
    "createSubprocessExec()",
    plain((options) => createSubprocessExec("true", [], options)),
    OPTIONS,
    true,
  ),
  ...optionRows(
    "createSubprocessShell()",
    plain((options) => createSubprocessShell("true", options)),
    OPTIONS,
    true,
  ),
  {
    name: "new Process(parts)",
    make: plain((parts) => Reflect.construct(Process, [parts])),
    accepts: [],
  },
];

const running: Row[] = [
  ...optionRows(
    "Process.wait()",
    onProcess((it, options) => it.wait(options)),
    SIGNAL,
    true,
  ),
  ...optionRows(
    "Process.communicate()",
    onProcess((it, options) => it.communicate("x", options)),
    SIGNAL,
    true,
  ),
  {
    name: "Process.communicate(input)",
    make: onProcess((it, input) => it.communicate(input)),
    accepts: ["undefined", "null", ...STRINGS, "Uint8Array"],
    isAsync: true,
  },
  {
    name: "Process.sendSignal(signal)",
    make: onProcess((it, signal) => it.sendSignal(signal)),
    accepts: ["0"],
  },
];

for (const row of [...starting, ...running]) {
  Deno.test(`${row.name} refuses wrong values and no right ones`, () =>
    assertRefuses(row));
}
