// The parts of a page, each with an address of its own.
import { NavLink } from "react-router";

interface Part {
  to: string;
  shown: string;
}

export function Parts({ label, parts }: { label: string; parts: Part[] }) {
  return (
    <nav className="parts" aria-label={label}>
      {parts.map(({ to, shown }) => (
        <NavLink key={to} to={to}>
          {shown}
        </NavLink>
      ))}
    </nav>
  );
}
