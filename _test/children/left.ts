/** Leaves two children at the end of the program: one of a run, and one of a run that is held. */

import { createSubprocessExec, type Process, run } from "../../mod.ts";

const left: Process[] = [];
const sleeper = () => createSubprocessExec("sleep", ["100"]);

const pid = await run(async () => (await sleeper()).pid);
await run(async () => void left.push(await sleeper()));
console.log(`${pid} ${left[0].pid}`);
