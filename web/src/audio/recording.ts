// A part of a recording as samples: A-law stereo at 8 kHz, left the robot, right the patient (ITU-T G.711).
import { Problem } from "../api/client";

export const RATE = 8000;
/** One byte a side. */
const BYTES_A_MS = (2 * RATE) / 1000;
/** The recording consists of these behind its head, 20 ms each. */
const FRAME_BYTES = 320;

/** What an A-law byte means, as a sample between -1 and 1. */
export const ALAW: Float32Array = Float32Array.from({ length: 256 }, (_, code) => {
  const bits = code ^ 0x55;
  const exponent = (bits >> 4) & 7;
  const mantissa = bits & 15;
  const size = exponent === 0 ? (mantissa << 4) + 8 : ((mantissa << 4) + 0x108) << (exponent - 1);
  return (bits & 0x80 ? size : -size) / 32768;
});

export interface Clip {
  /** Where it begins on the recording's clock. */
  fromMs: number;
  robot: Float32Array<ArrayBuffer>;
  patient: Float32Array<ArrayBuffer>;
}

/** What lies between two times of a call's recording, or all of it. */
export async function clip(call: string, fromMs: number, toMs: number | null): Promise<Clip> {
  const first = Math.max(0, Math.floor(fromMs)) * BYTES_A_MS;
  // The head's length is not known yet: ask for as much more as it can be.
  const last = toMs === null ? "" : Math.ceil(toMs) * BYTES_A_MS + FRAME_BYTES - 1;
  const response = await fetch(`/api/v1/calls/${encodeURIComponent(call)}/recording`, {
    headers: { range: `bytes=${first}-${last}` },
  });
  if (!response.ok) {
    const told = (await response.json().catch(() => ({}))) as { code?: string; detail?: string };
    throw new Problem(told.code ?? "internal", response.status, told.detail ?? response.statusText);
  }
  const bytes = new Uint8Array(await response.arrayBuffer());
  const total = Number(/\/(\d+)$/.exec(response.headers.get("content-range") ?? "")?.[1] ?? bytes.length);
  const head = total % FRAME_BYTES;
  // Where the samples begin in what came: a sound begins with its left side.
  const skip = Math.max(0, head - first);
  const length = Math.floor((bytes.length - skip) / 2);
  const robot = new Float32Array(length);
  const patient = new Float32Array(length);
  for (let at = 0; at < length; at += 1) {
    robot[at] = ALAW[bytes[skip + 2 * at] ?? 0xd5] ?? 0;
    patient[at] = ALAW[bytes[skip + 2 * at + 1] ?? 0xd5] ?? 0;
  }
  return { fromMs: (first + skip - head) / BYTES_A_MS, robot, patient };
}

let context: AudioContext | null = null;
let playing: AudioBufferSourceNode | null = null;

/** The page's one sound. A browser lets it speak only after the person has done something. */
export function sound(): AudioContext {
  context ??= new AudioContext();
  return context;
}

export function silence() {
  playing?.stop();
  playing = null;
}

/** Plays a clip from one of its moments on; resolves at its end, or when something else is played. */
export async function play(clip: Clip, fromMs: number): Promise<void> {
  silence();
  const audio = sound();
  await audio.resume();
  const buffer = audio.createBuffer(2, clip.robot.length, RATE);
  buffer.copyToChannel(clip.robot, 0);
  buffer.copyToChannel(clip.patient, 1);
  const source = audio.createBufferSource();
  source.buffer = buffer;
  source.connect(audio.destination);
  playing = source;
  await new Promise<void>((resolve) => {
    source.onended = () => resolve();
    source.start(0, Math.max(0, (fromMs - clip.fromMs) / 1000));
  });
  if (playing === source) playing = null;
}

/** Two short notes: a new emergency. */
export function chime() {
  const audio = sound();
  if (audio.state !== "running") return;
  for (const [at, tone] of [880, 1175].entries()) {
    const note = audio.createOscillator();
    const level = audio.createGain();
    const begin = audio.currentTime + at * 0.22;
    note.frequency.value = tone;
    level.gain.setValueAtTime(0.0001, begin);
    level.gain.exponentialRampToValueAtTime(0.25, begin + 0.02);
    level.gain.exponentialRampToValueAtTime(0.0001, begin + 0.2);
    note.connect(level).connect(audio.destination);
    note.start(begin);
    note.stop(begin + 0.21);
  }
}
