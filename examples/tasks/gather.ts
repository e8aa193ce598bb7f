// Three coroutines at once, and their results in the order in which they were given.
// Run: deno run examples/tasks/gather.ts

import { gather, run, sleep } from "@asyncio/asyncio";

async function factorial(name: string, n: number): Promise<number> {
  let product = 1;
  for (let i = 2; i <= n; i++) {
    console.log(`${name}: ${product} × ${i}`);
    await sleep(0.05);
    product *= i;
  }
  console.log(`${name}: ${n}! = ${product}`);
  return product;
}

async function main(): Promise<void> {
  const products = await gather([
    () => factorial("A", 2),
    () => factorial("B", 3),
    () => factorial("C", 4),
  ]);
  console.log(products);
}

await run(main);

// Output:
// A: 1 × 2
// B: 1 × 2
// C: 1 × 2
// A: 2! = 2
// B: 2 × 3
// C: 2 × 3
// B: 3! = 6
// C: 6 × 4
// C: 4! = 24
// [ 2, 6, 24 ]
