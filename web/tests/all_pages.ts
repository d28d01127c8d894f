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

/** A patient who was not rung, or was. */
async function somebody(): Promise<string> {
  const { items } = await ask<{ items: { id: string }[] }>("/patients");
  return items[0]!.id;
}

/** A call in which something was found. */
async function heardCall(): Promise<string> {
  const order = await ask<{ attempt: string }>(`/work-orders/${await heardOrder()}`);
  return order.attempt;
}

export const PAGES: Shown[] = [
  { name: "sign_in", by: null, path: () => "/", ready: "input#password" },
  { name: "worklist", by: "li.na", path: () => "/worklist", ready: ".orders li a" },
  { name: "order", by: "li.na", path: async () => `/worklist/${await heardOrder()}`, ready: "[data-said]" },
  { name: "dashboard", by: "zhao.gang", path: () => "/dashboard", ready: "[data-figure=reach]" },
  { name: "plans_patients", by: "zhao.gang", path: async () => `/plans/patients/${await somebody()}`, ready: "[data-step] .why li" },
  { name: "plans_pauses", by: "zhao.gang", path: () => "/plans/pauses", ready: ".ant-table" },
  { name: "plans_imports", by: "zhao.gang", path: () => "/plans/imports", ready: ".ant-table" },
  { name: "plans_do_not_call", by: "zhao.gang", path: () => "/plans/do_not_call", ready: ".ant-table-row" },
  { name: "plans_hours", by: "zhao.gang", path: () => "/plans/hours", ready: ".week" },
  { name: "plans_trunks", by: "zhao.gang", path: () => "/plans/trunks", ready: ".ant-card" },
  { name: "scripts_tree", by: "sun.yu", path: () => "/scripts/cardiac/tree", ready: ".drawing .node" },
  { name: "scripts_edit", by: "sun.yu", path: () => "/scripts/cardiac/edit", ready: "textarea.code" },
  { name: "scripts_rehearse", by: "sun.yu", path: () => "/scripts/cardiac/rehearse", ready: ".talk li" },
  { name: "scripts_compare", by: "sun.yu", path: () => "/scripts/cardiac/compare", ready: ".ant-empty" },
  { name: "scripts_release", by: "chen.jing", path: () => "/scripts/cardiac/release", ready: ".ant-table" },
  { name: "people", by: "wu.tao", path: () => "/people", ready: ".ant-table-row" },
  { name: "live", by: "li.na", path: () => "/live", ready: "h1" },
  { name: "calls", by: "wang.min", path: () => "/qa", ready: "tbody tr" },
  { name: "call", by: "wang.min", path: async () => `/qa/call/${await heardCall()}`, ready: ".wave .drawn" },
  { name: "audit_sample", by: "wang.min", path: () => "/qa/sample", ready: "tbody tr" },
  { name: "agreement", by: "wang.min", path: () => "/qa/agreement", ready: "thead" },
  { name: "audit_log", by: "zheng.ping", path: () => "/audit_log", ready: "tbody tr" },
];

/** Opens one of them and waits until it is whole. */
export async function show(page: Page, shown: Shown, lang: Lang): Promise<void> {
  if (shown.by) await be(page, shown.by);
  await open(page, lang, await shown.path());
  await page.locator(shown.ready).first().waitFor();
  await page.waitForLoadState("load");
  await page.locator(".ant-spin-spinning, .ant-skeleton-active").first().waitFor({ state: "detached" });
}
