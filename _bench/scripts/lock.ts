import { Lock } from "../../mod.ts";

const lock = new Lock();
using _ = await lock.acquire();
