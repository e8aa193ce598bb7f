/**
 * A certificate for this machine, for practice: `makeCertificate()` gives one
 * that is self-signed, with its key, both in PEM.
 *
 * @module
 */

/** A certificate and its key, in PEM. */
export interface Certificate {
  cert: string;
  key: string;
}

const CURVE = { name: "ECDSA", namedCurve: "P-256" };
const SIGN_WITH = { name: "ECDSA", hash: "SHA-256" };

const INTEGER = 0x02;
const BIT_STRING = 0x03;
const OCTET_STRING = 0x04;
const UTF8_STRING = 0x0c;
const UTC_TIME = 0x17;
const SEQUENCE = 0x30;
const SET = 0x31;

const ECDSA_SHA256 = sequence(oid(1, 2, 840, 10045, 4, 3, 2));

/** Makes a certificate for a host name and an IPv4 address, valid for the present year. */
export async function makeCertificate(
  host = "localhost",
  address = [127, 0, 0, 1],
): Promise<Certificate> {
  const keys = await crypto.subtle.generateKey(CURVE, true, ["sign", "verify"]);
  const spki = await crypto.subtle.exportKey("spki", keys.publicKey);
  const pkcs8 = await crypto.subtle.exportKey("pkcs8", keys.privateKey);
  const name = sequence(
    der(SET, sequence(oid(2, 5, 4, 3), der(UTF8_STRING, text(host)))),
  );
  const body = sequence(
    der(0xa0, der(INTEGER, [2])),
    der(INTEGER, [1]),
    ECDSA_SHA256,
    name,
    validity(),
    name,
    new Uint8Array(spki),
    der(0xa3, sequence(alternativeNames(host, address))),
  );
  const signature = await crypto.subtle.sign(
    SIGN_WITH,
    keys.privateKey,
    new Uint8Array(body),
  );
  const whole = sequence(
    body,
    ECDSA_SHA256,
    der(BIT_STRING, [0], toDer(new Uint8Array(signature))),
  );
  return {
    cert: pem("CERTIFICATE", whole),
    key: pem("PRIVATE KEY", new Uint8Array(pkcs8)),
  };
}

type Bytes = Uint8Array | readonly number[];

function der(tag: number, ...parts: Bytes[]): number[] {
  const content = parts.flatMap((part) => [...part]);
  return [tag, ...lengthOf(content.length), ...content];
}

function sequence(...parts: Bytes[]): number[] {
  return der(SEQUENCE, ...parts);
}

function lengthOf(length: number): number[] {
  if (length < 0x80) return [length];
  const bytes = [];
  for (let rest = length; rest > 0; rest >>= 8) bytes.unshift(rest & 0xff);
  return [0x80 | bytes.length, ...bytes];
}

function oid(first: number, second: number, ...rest: number[]): number[] {
  const base128 = (value: number): number[] => {
    const bytes = [value & 0x7f];
    for (let more = value >> 7; more > 0; more >>= 7) {
      bytes.unshift(0x80 | (more & 0x7f));
    }
    return bytes;
  };
  return der(0x06, [first * 40 + second], rest.flatMap(base128));
}

function validity(): number[] {
  const year = new Date().getUTCFullYear() % 100;
  const time = (year: number) =>
    der(UTC_TIME, text(`${String(year).padStart(2, "0")}0101000000Z`));
  return sequence(time(year), time(year + 2));
}

function alternativeNames(host: string, address: number[]): number[] {
  const names = sequence(der(0x82, text(host)), der(0x87, address));
  return sequence(oid(2, 5, 29, 17), der(OCTET_STRING, names));
}

/** The two halves of a raw signature as a sequence of integers. */
function toDer(raw: Uint8Array): number[] {
  const integer = (bytes: Uint8Array) => {
    let start = 0;
    while (start < bytes.length - 1 && bytes[start] === 0) start++;
    const digits = [...bytes.subarray(start)];
    return der(INTEGER, digits[0] & 0x80 ? [0, ...digits] : digits);
  };
  const half = raw.length / 2;
  return sequence(integer(raw.subarray(0, half)), integer(raw.subarray(half)));
}

function text(value: string): Uint8Array {
  return new TextEncoder().encode(value);
}

function pem(label: string, bytes: Bytes): string {
  const base64 = btoa(String.fromCharCode(...bytes));
  const lines = base64.match(/.{1,64}/g)!.join("\n");
  return `-----BEGIN ${label}-----\n${lines}\n-----END ${label}-----\n`;
}
