// Processes with wrong arguments of every kind.

import {
  createSubprocessExec,
  createSubprocessShell,
  PIPE,
  Process,
} from "@asyncio/asyncio";
import { optionRows, type Row, testRefusals } from "./_bad_values.ts";

/** Any function: the table is about what types would not let through. */
// deno-lint-ignore no-explicit-any
type Any = any;

/** Strings, for which the system has an answer of its own. */
const STRINGS = ['""', '"x"', '"5"'];
const FLAGS = ["true"];
/** `null` is left out too, as Python's `None`. */
const NONE = ["null"];
const LIMITS = ["Infinity", "2**53"];

const OPTIONS = {
  signal: [],
  stdin: NONE,
  stdout: NONE,
  stderr: NONE,
  limit: [...NONE, ...LIMITS],
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
    make: () => ({ call: createSubprocessExec as Any }),
    // An empty name is a program that is not found.
    accepts: STRINGS,
    isAsync: true,
    isLasting: true,
  },
  {
    name: "createSubprocessExec(…, args)",
    make: () => ({ call: (args: Any) => createSubprocessExec("true", args) }),
    accepts: ["undefined", "[]"],
    isAsync: true,
    isLasting: true,
  },
  {
    name: "createSubprocessExec(…, [arg])",
    make: () => ({ call: (arg: Any) => createSubprocessExec("true", [arg]) }),
    accepts: STRINGS,
    isAsync: true,
    isLasting: true,
  },
  {
    name: "createSubprocessShell(cmd)",
    make: () => ({ call: createSubprocessShell as Any }),
    accepts: STRINGS,
    isAsync: true,
    isLasting: true,
  },
  ...optionRows(
    "createSubprocessExec()",
    () => ({
      call: (options: Any) => createSubprocessExec("true", [], options),
    }),
    OPTIONS,
    true,
    true,
  ),
  ...optionRows(
    "createSubprocessShell()",
    () => ({ call: (options: Any) => createSubprocessShell("true", options) }),
    OPTIONS,
    true,
    true,
  ),
  {
    name: "new Process(parts)",
    make: () => ({ call: (parts: Any) => new Process(parts as never) }),
    accepts: [],
  },
];

const running: Row[] = [
  ...optionRows(
    "Process.wait()",
    onProcess((it, options) => it.wait(options)),
    { signal: [] },
    true,
    true,
  ),
  ...optionRows(
    "Process.communicate()",
    onProcess((it, options) => it.communicate("x", options)),
    { signal: [] },
    true,
    true,
  ),
  {
    name: "Process.communicate(input)",
    make: onProcess((it, input) => it.communicate(input)),
    accepts: ["undefined", "null", ...STRINGS, "Uint8Array"],
    isAsync: true,
    isLasting: true,
  },
  {
    name: "Process.sendSignal(signal)",
    make: onProcess((it, signal) => it.sendSignal(signal)),
    accepts: ["0"],
    isLasting: true,
  },
];

testRefusals([...starting, ...running]);
