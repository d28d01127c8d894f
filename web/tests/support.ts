// What the tests share: signing in, the API beside the page, and the sound that the page made.
import { expect, type Page } from "@playwright/test";

export type Lang = "zh" | "en";

export const URL_ = () => process.env["AFTERCALL_URL"] ?? "";
const token = () => process.env["AFTERCALL_TOKEN"] ?? "";

/** Asks the API as a program does. */
export async function ask<T>(path: string, init: RequestInit = {}): Promise<T> {
  const response = await fetch(`${URL_()}/api/v1${path}`, {
    ...init,
    headers: { authorization: `Bearer ${token()}`, ...(init.headers ?? {}) },
  });
  expect(response.ok, `${path}: ${response.status}`).toBe(true);
  return (await response.json()) as T;
}

/** The bytes of a call's recording behind its head. */
export async function samples(call: string): Promise<Uint8Array> {
  const response = await fetch(`${URL_()}/api/v1/calls/${call}/recording`, { headers: { authorization: `Bearer ${token()}` } });
  const bytes = new Uint8Array(await response.arrayBuffer());
  const text = new TextDecoder("latin1").decode(bytes.slice(0, 400));
  return bytes.slice(text.indexOf("data") + 8);
}

export interface Heard {
  /** Samples of the patient's side from where it was begun, as it was handed to the loudspeaker. */
  patient: number[];
  rate: number;
}

declare global {
  interface Window {
    heard: Heard[];
  }
}

/** Opens the pages in a language, with every sound that they begin written down. */
export async function open(page: Page, lang: Lang, path = "/"): Promise<void> {
  await page.addInitScript((lang) => {
    localStorage.setItem("aftercall.lang", lang);
    window.heard = [];
    const start = AudioBufferSourceNode.prototype.start;
    AudioBufferSourceNode.prototype.start = function (when?: number, offset?: number, duration?: number) {
      const { buffer } = this;
      if (buffer) {
        const from = Math.round((offset ?? 0) * buffer.sampleRate);
        window.heard.push({ patient: [...buffer.getChannelData(1).slice(from)], rate: buffer.sampleRate });
      }
      start.call(this, when ?? 0, offset ?? 0, ...(duration === undefined ? [] : [duration]));
    };
  }, lang);
  await page.goto(`${URL_()}${path}`);
}

export async function signIn(page: Page): Promise<void> {
  const field = page.locator("input#token");
  await field.fill(token());
  await field.press("Enter");
  await expect(page.locator("header.top")).toBeVisible();
}
