import { Lock } from "../../sync.ts";

const lock = new Lock();
using _ = await lock.acquire();
