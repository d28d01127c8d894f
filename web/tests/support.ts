// What the tests share: signing in, the API beside the page, and the sound that the page made.
import { expect, type Page } from "@playwright/test";
import { PASSWORD, type Name } from "./staff";

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

/** Signs in by the form. */
export async function signIn(page: Page, name: Name): Promise<void> {
  await page.locator("input#name").fill(name);
  await page.locator("input#password").fill(PASSWORD);
  await page.locator("input#password").press("Enter");
  await expect(page.locator("header.top")).toBeVisible();
}

const signedIn = new Map<Name, string>();

/** Lets a page be somebody's who has signed in before: one address may sign in only so often. */
export async function be(page: Page, name: Name): Promise<void> {
  let key = signedIn.get(name);
  if (!key) {
    const sent = { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify({ name, password: PASSWORD }) };
    const response = await fetch(`${URL_()}/api/v1/session`, sent);
    expect(response.ok, `${name} signs in: ${response.status}`).toBe(true);
    key = /^aftercall_session=([^;]+)/.exec(response.headers.get("set-cookie") ?? "")![1]!;
    signedIn.set(name, key);
  }
  await page.context().addCookies([{ name: "aftercall_session", value: key, url: URL_() }]);
}
