/**
 * Objects of this thread, listed by the debugger of the runtime.
 *
 * @module
 */

import { deno } from "./_deno.ts";
import { node, runtime, systemTimer } from "./_host.ts";

/** How long the debugger may take, in seconds. */
const DEBUGGER_TIMEOUT = 1;

/**
 * All objects of this thread that inherit from the prototype of a global class;
 * `null` if the debugger is not permitted or not available.
 */
export async function allInstances(
  name: "Promise" | "AbortSignal",
): Promise<readonly object[] | null> {
  if (!isPermitted()) return null;
  const timeout = Promise.withResolvers<null>();
  const stopTimer = systemTimer(
    DEBUGGER_TIMEOUT,
    () => timeout.resolve(null),
    true,
  );
  try {
    return await Promise.race([askDebugger(name), timeout.promise]);
  } catch {
    return null; // a runtime without a debugger
  } finally {
    stopTimer();
  }
}

/** Whether the debugger may be used without a prompt. */
function isPermitted(): boolean {
  if (runtime !== "Deno") return true;
  const permission = { name: "sys", kind: "inspector" as "uid" } as const;
  return deno.permissions.querySync(permission).state === "granted";
}

/** The global through which the debugger passes the objects. */
const OBJECTS_KEY = Symbol.for("@asyncio/asyncio objects");

async function askDebugger(name: string): Promise<readonly object[]> {
  const { Session } = node("inspector");
  const session = new Session();
  session.connect();
  const call = (method: string, params: object) =>
    new Promise<Answer>((resolve, reject) =>
      session.post(
        method,
        params,
        (error, answer) =>
          error === null ? resolve(answer as Answer) : reject(error),
      )
    );
  try {
    const { result } = await call("Runtime.evaluate", {
      expression: `${name}.prototype`,
    });
    const { objects } = await call("Runtime.queryObjects", {
      prototypeObjectId: result!.objectId,
    });
    await call("Runtime.callFunctionOn", {
      objectId: objects!.objectId,
      functionDeclaration: `function () {
        globalThis[Symbol.for(${
        JSON.stringify(OBJECTS_KEY.description)
      })] = this;
      }`,
    });
  } finally {
    session.disconnect();
  }
  const transfer = globalThis as unknown as Record<symbol, object[]>;
  const objects = transfer[OBJECTS_KEY]!;
  delete transfer[OBJECTS_KEY];
  return objects;
}

/** The results of debugger calls. */
interface Answer {
  result?: { objectId: string };
  objects?: { objectId: string };
}
