// The frame around every page, and which pages a role sees. Each page is a bundle of its own.
import { Alert, Button, Spin } from "antd";
import { lazy, Suspense, type ComponentType } from "react";
import { Navigate, NavLink, Route, Routes } from "react-router";
import { EventsProvider, useIsLive } from "../api/events";
import { may, useMe, useSession, type Right } from "../api/session";
import { useSite } from "../api/site";
import { useLanguage } from "../text";
import { OwnAccount, SecondFactorNeeded } from "./second_factor";
import { SignIn } from "./sign_in";

interface Page {
  path: "worklist" | "live" | "qa" | "plans" | "dashboard" | "scripts" | "people" | "audit_log";
  right: Right;
  Shown: ComponentType;
}

const PAGES: Page[] = [
  { path: "worklist", right: "orders", Shown: lazy(() => import("../worklist/worklist")) },
  { path: "dashboard", right: "figures", Shown: lazy(() => import("../dashboard/dashboard")) },
  { path: "plans", right: "plans", Shown: lazy(() => import("../plans/plans")) },
  { path: "scripts", right: "scripts", Shown: lazy(() => import("../scripts/scripts")) },
  { path: "people", right: "staff", Shown: lazy(() => import("../people/people")) },
  { path: "live", right: "calls", Shown: lazy(() => import("../live/page")) },
  { path: "qa", right: "review", Shown: lazy(() => import("../qa")) },
  { path: "audit_log", right: "audit", Shown: lazy(() => import("../audit_log/page")) },
];

export function Pages() {
  const { me } = useSession();
  if (me === undefined) return <Spin fullscreen />;
  if (me === null) return <SignIn />;
  if (me.secondFactorNeeded) return <SecondFactorNeeded />;
  return (
    <EventsProvider>
      <Frame />
    </EventsProvider>
  );
}

function Frame() {
  const { text, lang, setLang } = useLanguage();
  const { signOut } = useSession();
  const me = useMe();
  const site = useSite();
  const live = useIsLive();
  const pages = PAGES.filter((page) => may(me, page.right));
  const first = pages[0];
  return (
    <div className="app">
      <a className="skip" href="#main">
        {text.frame.skip}
      </a>
      <header className="top">
        <span className="brand" translate="no">
          {site ? (lang === "zh" ? site.name_zh : site.name_en) : text.product}
        </span>
        <nav>
          {pages.map(({ path }) => (
            <NavLink key={path} to={`/${path}`}>
              {text.pages[path]}
            </NavLink>
          ))}
        </nav>
        <span className="space" />
        <Button type="text" translate="no" onClick={() => setLang(lang === "zh" ? "en" : "zh")}>
          {text.frame.language}
        </Button>
        <OwnAccount />
        <Button onClick={() => void signOut()}>{text.frame.signOut}</Button>
      </header>
      {!live && <Alert banner type="warning" title={text.frame.offline} />}
      {me.hasNoWard && may(me, "patients") && <Alert banner type="warning" title={text.frame.noWard} />}
      <main className="main" id="main">
        <Suspense fallback={<Spin style={{ display: "block", marginTop: 80 }} />}>
          <Routes>
            {pages.map(({ path, Shown }) => (
              <Route key={path} path={`/${path}/*`} element={<Shown />} />
            ))}
            <Route path="*" element={first ? <Navigate to={`/${first.path}`} replace /> : <p className="page">{text.frame.nothing}</p>} />
          </Routes>
        </Suspense>
      </main>
    </div>
  );
}
