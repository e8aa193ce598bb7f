/**
 * A certificate for this machine, for practice: `makeCertificate()` gives one
 * that is self-signed, with its key, both in PEM.
 *
 * @module
 */

export { type Certificate, makeCertificate } from "../_test/_certificate.ts";
