// The ways in, to the first page: by the hospital's provider, and with a second factor that has to be set up before.
import AxeBuilder from "@axe-core/playwright";
import { expect, test, type Locator, type Page } from "@playwright/test";
import { createHmac } from "node:crypto";
import decodeQR from "qr/decode.js";
import { en } from "../src/text/en";
import { zh } from "../src/text/zh";
import { serve, type Engine } from "./engine";
import { CLIENT, provide, SECRET } from "./provider";
import { PASSWORD } from "./staff";
import type { Lang } from "./support";

const LANGS = [["zh", zh], ["en", en]] as [Lang, typeof zh][];
const LABELS: Record<Lang, string> = { zh: "统一登录", en: "Staff sign-on" };

let engine: Engine;
let provider: { issuer: string; stop(): void };

test.beforeAll(async () => {
  provider = await provide();
  process.env["PAGES_OIDC_SECRET"] = SECRET;
  engine = await serve(
    (url) => `[web.oidc]
issuer = "${provider.issuer}"
client_id = "${CLIENT}"
secret_env = "PAGES_OIDC_SECRET"
public_url = "${url}"
label_zh = "${LABELS.zh}"
label_en = "${LABELS.en}"
[staff]
second_factor_for = ["security_admin"]
`,
  );
  engine.staff("add", "li.na", "--role", "nurse", "--display-name", "李娜");
  engine.staff("sso-name", "li.na", "li.na@hospital.example");
  for (const [lang] of LANGS) engine.staff("add", `wu.${lang}`, "--role", "security_admin", "--display-name", "吴涛");
});

test.afterAll(async () => {
  await engine.stop();
  provider.stop();
});

async function arrive(page: Page, lang: Lang) {
  await page.addInitScript((lang) => localStorage.setItem("aftercall.lang", lang), lang);
  await page.goto(engine.url);
}

/** Says at the provider who one is, or that one will not. */
async function sayWho(page: Page, email: string, button: "Agree" | "Refuse") {
  await expect(page).toHaveURL(new RegExp(`^${provider.issuer}/authorize`));
  await page.getByLabel("E-mail").fill(email);
  await page.getByRole("button", { name: button }).click();
}

/** What a telephone's camera reads. */
async function scan(page: Page, code: Locator): Promise<string> {
  const png = (await code.screenshot()).toString("base64");
  const { width, height, data } = await page.evaluate(async (png) => {
    const bytes = Uint8Array.from(atob(png), (char) => char.charCodeAt(0));
    const image = await createImageBitmap(new Blob([bytes]));
    const canvas = new OffscreenCanvas(image.width, image.height).getContext("2d")!;
    canvas.drawImage(image, 0, 0);
    return { width: image.width, height: image.height, data: [...canvas.getImageData(0, 0, image.width, image.height).data] };
  }, png);
  return decodeQR({ width, height, data: Uint8Array.from(data) });
}

/** The code of RFC 6238 that an authenticator shows at that time: SHA-1, six digits, a new one every 30 s. */
function codeOf(secret: string, at: number): string {
  const bits = [...secret].map((letter) => "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".indexOf(letter).toString(2).padStart(5, "0")).join("");
  const key = Buffer.from((bits.match(/.{8}/g) ?? []).map((byte) => Number.parseInt(byte, 2)));
  const step = Buffer.alloc(8);
  step.writeBigUInt64BE(BigInt(Math.floor(at / 30_000)));
  const mac = createHmac("sha1", key).update(step).digest();
  const from = mac[19]! & 15;
  return String((mac.readUInt32BE(from) & 0x7fffffff) % 1_000_000).padStart(6, "0");
}

for (const [lang, text] of LANGS) {
  test(`a nurse comes in by the hospital's provider, and nobody else does (${lang})`, async ({ page }) => {
    await arrive(page, lang);
    const button = page.getByRole("link", { name: LABELS[lang] });
    for (const [email, does, why] of [
      ["li.na@hospital.example", "Refuse", text.signIn.returned["token"]!],
      ["nobody@hospital.example", "Agree", text.signIn.returned["account"]!],
    ] as const) {
      await button.click();
      await sayWho(page, email, does);
      await expect(page.getByRole("alert")).toHaveText(why);
      await expect(page).toHaveURL(`${engine.url}/`);
      await expect(page.locator("header.top")).toBeHidden();
    }
    await button.click();
    await sayWho(page, "li.na@hospital.example", "Agree");
    await expect(page.locator("header.top")).toContainText("李娜");
    await page.reload();
    await expect(page.locator("header.top")).toContainText("李娜");
    await page.getByRole("button", { name: text.frame.signOut }).click();
    await expect(button).toBeVisible();
  });

  test(`whose role needs a second factor sets it up by a QR code, and is asked for it from then on (${lang})`, async ({ page }) => {
    const form = async (code?: string) => {
      await page.locator("input#name").fill(`wu.${lang}`);
      await page.locator("input#password").fill(PASSWORD);
      if (code) await page.locator("input#code").fill(code);
      await page.getByRole("button", { name: text.signIn.submit, exact: true }).click();
    };
    await arrive(page, lang);
    await form();
    await expect(page.getByRole("heading", { name: text.secondFactor.title })).toBeVisible();
    for (const path of ["/people", "/worklist"]) {
      await page.goto(`${engine.url}${path}`);
      await expect(page.getByText(text.secondFactor.needed)).toBeVisible();
      await expect(page.locator("header.top")).toBeHidden();
    }
    await page.locator("input#password").fill(PASSWORD);
    await page.getByRole("button", { name: text.secondFactor.begin }).click();
    const qr = page.locator(".ant-qrcode");
    await expect(qr).toBeVisible();
    const { violations } = await new AxeBuilder({ page }).analyze();
    expect(violations.filter(({ impact }) => impact === "serious" || impact === "critical")).toEqual([]);
    const uri = new URL(await scan(page, qr));
    expect(uri.href).toMatch(/^otpauth:\/\/totp\//);
    const secret = uri.searchParams.get("secret")!;
    await expect(page.locator("code")).toHaveText(secret);
    const now = Date.now();
    await page.locator("input#code").fill(codeOf(secret, now - 600_000));
    await page.getByRole("button", { name: text.secondFactor.confirm }).click();
    await expect(page.getByRole("alert")).toBeVisible();
    await page.locator("input#code").fill(codeOf(secret, now));
    await page.getByRole("button", { name: text.secondFactor.confirm }).click();
    await expect(page.locator("header.top")).toContainText("吴涛");

    await page.getByRole("button", { name: text.frame.signOut }).click();
    await form();
    await expect(page.getByRole("alert")).toHaveText(text.problem.code_needed);
    // A code that was seen once opens nothing.
    await form(codeOf(secret, now));
    await expect(page.getByRole("alert")).not.toHaveText(text.problem.code_needed);
    await form(codeOf(secret, now + 30_000));
    await expect(page.locator("header.top")).toContainText("吴涛");
  });
}
