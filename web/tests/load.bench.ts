// How soon each page is whole in a browser that never saw it, and how soon it shows what a press asks for: times are the page's
// own clock, from navigation or from the event to the frame after what was waited for.
import { expect, test, type Browser, type Page } from "@playwright/test";

const LOOKS = 10;
const LOAD_MS = 1500;
const PRESS_MS = 100;

const URL_ = process.env["AFTERCALL_URL"]!;
const ON = process.env["BENCH_ON"] ?? "";

declare global {
  interface Window {
    /** Resolves with how long it took from `from`, or from the next event, until something is there. */
    until: (there: () => boolean, from?: number) => Promise<number>;
  }
}

function provide() {
  localStorage.setItem("aftercall.lang", "zh");
  window.until = (there, from) =>
    new Promise((done) => {
      let begun = from;
      const begin = (event: Event) => (begun ??= event.timeStamp);
      for (const kind of ["pointerdown", "keydown"]) addEventListener(kind, begin, { capture: true, once: true });
      const look = () => {
        if (begun === undefined || !there()) return requestAnimationFrame(look);
        // What this frame shows is painted before the next one begins.
        return requestAnimationFrame(() => done(performance.now() - begun!));
      };
      requestAnimationFrame(look);
    });
}

let cookie = "";

async function fresh(browser: Browser): Promise<Page> {
  if (!cookie) {
    const body = JSON.stringify({ name: "everybody", password: "plum-blossom-42" });
    const response = await fetch(`${URL_}/api/v1/session`, { method: "POST", headers: { "content-type": "application/json" }, body });
    expect(response.ok, `signing in: ${response.status}`).toBe(true);
    cookie = /^aftercall_session=([^;]+)/.exec(response.headers.get("set-cookie") ?? "")![1]!;
  }
  const context = await browser.newContext({ viewport: { width: 1366, height: 768 } });
  await context.addCookies([{ name: "aftercall_session", value: cookie, url: URL_ }]);
  await context.addInitScript(provide);
  return context.newPage();
}

let missed = 0;

function tell(page: string, what: string, took: number[], goal: number) {
  const sorted = took.toSorted((one, other) => one - other);
  const [p50, p95] = [sorted[Math.floor(sorted.length / 2)]!, sorted[Math.ceil(sorted.length * 0.95) - 1]!];
  const late = p95 > goal;
  missed += Number(late);
  const cells = [p50, p95, goal].map((value) => value.toFixed(0).padStart(9)).join("");
  console.log(`${ON.padEnd(11)} ${page.padEnd(12)} ${what.padEnd(24)}${cells}${late ? "  missed" : ""}`);
}

const PAGES: [string, string, string][] = [
  ["worklist", "/worklist", ".orders li a"],
  ["dashboard", "/dashboard", "[data-figure=reach]"],
  ["patients", "/plans/patients", "form input"],
  ["hours", "/plans/hours", ".week"],
  ["scripts", "/scripts/cardiac/tree", ".drawing .node"],
  ["live", "/live", "h1"],
  ["calls", "/qa", "tbody tr"],
  ["sample", "/qa/sample", "tbody tr"],
  ["audit log", "/audit_log", "tbody tr"],
];

test("each page is there at once", async ({ browser }) => {
  for (const [name, path, ready] of PAGES) {
    const took: number[] = [];
    for (let look = 0; look < LOOKS; look++) {
      const page = await fresh(browser);
      await page.goto(`${URL_}${path}`, { waitUntil: "commit" });
      took.push(await page.evaluate((ready) => window.until(() => document.querySelector(ready) !== null, 0), ready));
      await page.context().close();
    }
    tell(name, "first load", took, LOAD_MS);
  }
  expect(missed, "goals that are missed").toBe(0);
});

/** How long a press takes until `there` (a function's text) holds, over and over. */
async function press(page: Page, there: string, act: (page: Page) => Promise<void>): Promise<number> {
  const until = page.evaluate((there) => window.until(new Function(`return (${there})`) as () => boolean), there);
  await act(page);
  return until;
}

const ROW = "document.querySelector('.list tbody')?.textContent";

test("each press is answered at once", async ({ browser }) => {
  const before = missed;
  const page = await fresh(browser);
  await page.goto(`${URL_}/worklist`);
  await page.locator(".orders li a").first().waitFor();
  const opened: number[] = [];
  const moved: number[] = [];
  for (let look = 0; look < LOOKS; look++) {
    const row = page.locator(".orders li a").nth(look + 1);
    const path = await row.getAttribute("href");
    opened.push(await press(page, `location.pathname === "${path}" && document.querySelector("[data-said]") !== null`, () => row.click()));
    await row.focus();
    const next = await page.locator(".orders li a").nth(look + 2).getAttribute("href");
    moved.push(await press(page, `document.activeElement?.getAttribute("href") === "${next}"`, () => page.keyboard.press("j")));
  }
  tell("worklist", "an order opens", opened, PRESS_MS);
  tell("worklist", "the next by key", moved, PRESS_MS);

  const wards: number[] = [];
  for (const ward of ["W3", "W5", "W7", "W9", "W11"]) {
    await page.getByRole("group").getByRole("combobox").nth(2).click();
    const option = page.locator(".ant-select-item-option").getByText(ward, { exact: true });
    await option.scrollIntoViewIfNeeded();
    const all = `[...document.querySelectorAll(".orders li a")].every((row) => row.textContent.includes("${ward} ") || row.textContent.includes("${ward}"))`;
    wards.push(await press(page, `document.querySelector(".orders li a") && ${all}`, () => option.click()));
  }
  tell("worklist", "one ward's", wards, PRESS_MS);

  // The first visit fetches a page's bundle; then it is in the browser.
  const visits: [string, string, string][] = [
    ["calls", "/qa", "document.querySelector('.list tbody tr')"],
    ["live", "/live", "location.pathname === '/live' && document.querySelector('h1')"],
    ["dashboard", "/dashboard", "document.querySelector('[data-figure=reach]')"],
    ["audit log", "/audit_log", "document.querySelector('tr[data-what]')"],
    ["worklist", "/worklist", "document.querySelector('.orders li a')"],
  ];
  const went = new Map<string, number[]>(visits.map(([name]) => [name, []]));
  for (let look = 0; look < LOOKS; look++) {
    for (const [name, path, there] of visits) {
      const took = await press(page, `${there} !== null && ${there} !== undefined`, () => page.locator(`nav a[href="${path}"]`).click());
      if (look > 0) went.get(name)!.push(took);
    }
  }
  for (const [name, took] of went) tell(name, "gone to again", took, PRESS_MS);

  await page.goto(`${URL_}/qa`);
  await page.locator(".list tbody tr").first().waitFor();
  const filtered: number[] = [];
  for (let look = 0; look < LOOKS; look++) {
    const shown = await page.evaluate(ROW);
    filtered.push(await press(page, `${ROW} && ${ROW} !== ${JSON.stringify(shown)}`, () => page.getByRole("checkbox").click()));
  }
  tell("calls", "answered or all", filtered, PRESS_MS);
  expect(missed - before, "goals that are missed").toBe(0);
});
