// `make bench-pages` runs this against a server whose database is full: how soon a page is there, and answers a press.
import { defineConfig } from "@playwright/test";
import pages from "./playwright.config";

const { globalSetup: _, ...rest } = pages;

export default defineConfig({ ...rest, testMatch: "load.bench.ts", timeout: 300_000, reporter: [["line"]], use: { ...rest.use, trace: "off" } });
