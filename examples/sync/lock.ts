// Three tasks change one number; a lock keeps each from working with an old one.
// Run: deno run examples/sync/lock.ts

import { gather, Lock, run, sleep } from "@asyncio/asyncio";

class Account {
  balance = 0;
  readonly #lock = new Lock();

  async deposit(amount: number): Promise<void> {
    using _ = await this.#lock.acquire(); // released at the end of the block
    await this.depositUnlocked(amount);
  }

  async depositUnlocked(amount: number): Promise<void> {
    const before = this.balance;
    await sleep(0.01); // here another task may run
    this.balance = before + amount;
  }
}

async function main(): Promise<void> {
  const amounts = [1, 10, 100];

  const unsafe = new Account();
  await gather(amounts.map((n) => () => unsafe.depositUnlocked(n)));
  console.log(`without a lock: ${unsafe.balance}`);

  const safe = new Account();
  await gather(amounts.map((n) => () => safe.deposit(n)));
  console.log(`with a lock: ${safe.balance}`);
}

await run(main);

// Output:
// without a lock: 100
// with a lock: 111
