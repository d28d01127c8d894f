// Every page, who sees it, and when it is there: what is asked of all of them is asked in pages.spec.ts.
import type { Page } from "@playwright/test";
import type { Name } from "./staff";
import { ask, be, open, type Lang } from "./support";

export interface Shown {
  name: string;
  /** Nobody: who has not signed in. */
  by: Name | null;
  path: () => string | Promise<string>;
  /** What stands on the page once it is whole. */
  ready: string;
}

/** An order in which something was heard. */
async function heardOrder(): Promise<string> {
  const { items } = await ask<{ items: { id: string; causes: { finding?: object }[] }[] }>("/work-orders?state=open");
  return items.find((order) => order.causes.some((cause) => cause.finding))!.id;
}

export const PAGES: Shown[] = [
  { name: "sign_in", by: null, path: () => "/", ready: "input#password" },
  { name: "worklist", by: "li.na", path: () => "/worklist", ready: ".orders li a" },
  { name: "order", by: "li.na", path: async () => `/worklist/${await heardOrder()}`, ready: "[data-said]" },
];

/** Opens one of them and waits until it is whole. */
export async function show(page: Page, shown: Shown, lang: Lang): Promise<void> {
  if (shown.by) await be(page, shown.by);
  await open(page, lang, await shown.path());
  await page.locator(shown.ready).first().waitFor();
  await page.waitForLoadState("load");
  await page.locator(".ant-spin-spinning, .ant-skeleton-active").first().waitFor({ state: "detached" });
}
