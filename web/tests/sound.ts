// What a page hears of a call by WebRTC, written down with its time, and how it is compared.
import type { Page } from "@playwright/test";

/** What is played, or what the microphone sends. */
export type Side = "ear" | "mouth";

declare global {
  interface Window {
    lines: RTCPeerConnection[];
    sounds: Record<Side, { at: number; samples: number[] }[]>;
  }
}

export const RATE = 8_000;

/** Keeps every connection that the page makes; call it before the page is opened. */
export async function keepLines(page: Page): Promise<void> {
  await page.addInitScript(() => {
    window.lines = [];
    const Real = window.RTCPeerConnection;
    window.RTCPeerConnection = class extends Real {
      constructor(with_?: RTCConfiguration) {
        super(with_);
        window.lines.push(this);
      }
    };
  });
}

/** Writes down what the newest connection plays, as it is handed to the loudspeaker, or what it sends. */
export async function listen(page: Page, side: Side = "ear"): Promise<void> {
  await page.evaluate(
    ([rate, side]) => {
      window.sounds ??= { ear: [], mouth: [] };
      const line = window.lines.at(-1)!;
      const { track } = side === "ear" ? line.getReceivers()[0]! : line.getSenders()[0]!;
      const context = new AudioContext({ sampleRate: rate });
      const writer = context.createScriptProcessor(256, 1, 1);
      writer.onaudioprocess = ({ inputBuffer }) => {
        window.sounds[side].push({ at: Date.now(), samples: [...inputBuffer.getChannelData(0)] });
      };
      context.createMediaStreamSource(new MediaStream([track!])).connect(writer).connect(context.destination);
    },
    [RATE, side] as const,
  );
}

export interface Heard {
  samples: Float64Array;
  /** When a sample was heard, in milliseconds of the wall clock. */
  at(sample: number): number;
}

export async function heard(page: Page, side: Side = "ear"): Promise<Heard> {
  const blocks = await page.evaluate((side) => window.sounds[side], side);
  const samples = Float64Array.from(blocks.flatMap((block) => block.samples));
  const size = blocks[0]!.samples.length;
  const at = (sample: number) => {
    const block = Math.min(Math.floor(sample / size), blocks.length - 1);
    // The time is the block's end.
    return blocks[block]!.at - ((size - (sample % size)) * 1_000) / RATE;
  };
  return { samples, at };
}

/** A-law to linear (G.711), -1 to 1. */
export function fromAlaw(byte: number): number {
  const value = byte ^ 0x55;
  const exponent = (value >> 4) & 7;
  const mantissa = ((value & 15) << 4) + 8;
  const size = exponent === 0 ? mantissa : (mantissa + 0x100) << (exponent - 1);
  return (value & 0x80 ? size : -size) / 32_768;
}

/** The sides of a recording: what the patient heard, and what she said. */
export function sides(recording: Uint8Array): [Float64Array, Float64Array] {
  const side = (of: number) => Float64Array.from({ length: Math.floor(recording.length / 2) }, (_, at) => fromAlaw(recording[2 * at + of]!));
  return [side(0), side(1)];
}

export function level(samples: Float64Array): number {
  return Math.sqrt(samples.reduce((sum, one) => sum + one * one, 0) / Math.max(samples.length, 1));
}

/** Where the piece is likeliest in what was heard, and how like it is: 1 is the same. */
export function find(piece: Float64Array, among: Float64Array): { at: number; likeness: number } {
  const step = 3;
  let best = { at: 0, likeness: 0 };
  for (let at = 0; at + piece.length <= among.length; at++) {
    let product = 0;
    let own = 0;
    let other = 0;
    for (let i = 0; i < piece.length; i += step) {
      const [a, b] = [piece[i]!, among[at + i]!];
      product += a * b;
      own += a * a;
      other += b * b;
    }
    const likeness = product / Math.sqrt(own * other + 1e-12);
    if (likeness > best.likeness) best = { at, likeness };
  }
  return best;
}
