// The nurse's voice of the tests: glottal pulses through a moving formant, so that Chromium takes it for speech.
import { mkdirSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";

const RATE = 48_000;
const SECONDS = 10;

/** Writes it down as a WAV that Chromium's fake microphone plays, and says where. */
export function voice(): string {
  const samples = new Int16Array(RATE * SECONDS);
  let [phase, before, last] = [0, 0, 0];
  for (let n = 0; n < samples.length; n++) {
    const t = n / RATE;
    phase = (phase + (170 + 40 * Math.sin(2 * Math.PI * 1.7 * t) + 15 * Math.sin(2 * Math.PI * 0.31 * t)) / RATE) % 1;
    const formant = 600 + 350 * Math.sin(2 * Math.PI * 2.3 * t) + 150 * Math.sin(2 * Math.PI * 0.7 * t);
    // A resonator of 120 Hz bandwidth.
    const r = Math.exp((-Math.PI * 120) / RATE);
    const now = (1 - 2 * phase) * 0.02 + 2 * r * Math.cos((2 * Math.PI * formant) / RATE) * last - r * r * before;
    [before, last] = [last, now];
    const syllable = 0.35 + 0.65 * Math.max(0, Math.sin(2 * Math.PI * 3.1 * t));
    samples[n] = Math.max(-1, Math.min(1, now * syllable)) * 20_000;
  }
  const head = Buffer.alloc(44);
  head.write("RIFF", 0);
  head.writeUInt32LE(36 + samples.byteLength, 4);
  head.write("WAVEfmt ", 8);
  head.writeUInt32LE(16, 16);
  head.writeUInt16LE(1, 20);
  head.writeUInt16LE(1, 22);
  head.writeUInt32LE(RATE, 24);
  head.writeUInt32LE(2 * RATE, 28);
  head.writeUInt16LE(2, 32);
  head.writeUInt16LE(16, 34);
  head.write("data", 36);
  head.writeUInt32LE(samples.byteLength, 40);
  const folder = resolve(import.meta.dirname, "../../target/pages");
  mkdirSync(folder, { recursive: true });
  const file = join(folder, "nurse.wav");
  writeFileSync(file, Buffer.concat([head, Buffer.from(samples.buffer)]));
  return file;
}
