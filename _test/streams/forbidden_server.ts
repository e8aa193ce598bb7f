// Tries to listen where it has no permission to.

import { run, startServer } from "@asyncio/asyncio";

await run(async () => {
  try {
    await startServer(() => {}, "127.0.0.1", 0);
  } catch (error) {
    console.log((error as Error).name, (error as Error).message);
  }
});
