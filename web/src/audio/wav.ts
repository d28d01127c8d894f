// A clip as a file that a media element plays, and as the outline that a waveform draws.
import { RATE, type Clip } from "./recording";

/** 16-bit PCM, left the robot, right the patient (RIFF WAVE). */
export function wav({ robot, patient }: Clip): Blob {
  const frames = robot.length;
  const bytes = new DataView(new ArrayBuffer(44 + 4 * frames));
  const text = (at: number, words: string) => [...words].forEach((c, i) => bytes.setUint8(at + i, c.charCodeAt(0)));
  text(0, "RIFF");
  bytes.setUint32(4, 36 + 4 * frames, true);
  text(8, "WAVEfmt ");
  bytes.setUint32(16, 16, true);
  bytes.setUint16(20, 1, true);
  bytes.setUint16(22, 2, true);
  bytes.setUint32(24, RATE, true);
  bytes.setUint32(28, 4 * RATE, true);
  bytes.setUint16(32, 4, true);
  bytes.setUint16(34, 16, true);
  text(36, "data");
  bytes.setUint32(40, 4 * frames, true);
  for (let at = 0; at < frames; at += 1) {
    bytes.setInt16(44 + 4 * at, Math.round((robot[at] ?? 0) * 32767), true);
    bytes.setInt16(46 + 4 * at, Math.round((patient[at] ?? 0) * 32767), true);
  }
  return new Blob([bytes.buffer], { type: "audio/wav" });
}

/** The loudest sample of every ten milliseconds. */
export function outline(samples: Float32Array): Float32Array {
  const step = RATE / 100;
  return Float32Array.from({ length: Math.ceil(samples.length / step) }, (_, nth) =>
    samples.subarray(nth * step, (nth + 1) * step).reduce((most, sample) => Math.max(most, Math.abs(sample)), 0),
  );
}
