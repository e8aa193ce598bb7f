/**
 * Work for the threads of the guide: `countPrimes()`.
 *
 * @module
 */

/** Whether a number is a prime. */
function isPrime(n: number): boolean {
  for (let d = 2; d * d <= n; d++) if (n % d === 0) return false;
  return n > 1;
}

/**
 * Counts the primes from one number up to another one.
 *
 * @param from The first number.
 * @param to The number after the last.
 * @returns How many of them are primes.
 */
export function countPrimes(from: number, to: number): number {
  let count = 0;
  for (let n = from; n < to; n++) if (isPrime(n)) count++;
  return count;
}
