import { defineConfig } from "@playwright/test";
import { voice } from "./tests/voice";

export default defineConfig({
  testDir: "tests",
  outputDir: "../target/pages/results",
  globalSetup: "./tests/demo.ts",
  // One hospital, one day: each test finds what the one before has left.
  workers: 1,
  fullyParallel: false,
  forbidOnly: true,
  timeout: 60_000,
  expect: { timeout: 10_000 },
  reporter: [["list"]],
  use: {
    viewport: { width: 1366, height: 768 },
    timezoneId: "UTC",
    trace: "retain-on-failure",
    launchOptions: {
      executablePath: process.env["CHROMIUM"] ?? "/usr/bin/chromium",
      // A microphone that says the same over and over, and needs nobody's leave.
      args: ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream", `--use-file-for-fake-audio-capture=${voice()}`],
      // Chromium's own sandbox does not start as root.
      chromiumSandbox: process.getuid?.() !== 0,
    },
  },
});
