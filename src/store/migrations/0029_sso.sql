-- Single sign-on. `sso_name` is what the provider calls the person (an e-mail, by default), as an admin has written it down;
-- who first signs in under it stands in issuer and subject, and from then on only they find the account.
alter table staff add column sso_name text;
alter table staff add column sso_issuer text;
alter table staff add column sso_subject text;
create unique index staff_sso_name on staff (sso_name);
create unique index staff_sso_subject on staff (sso_issuer, sso_subject);

-- People on their way to the provider and back. Of what the address bar and the cookie hold only the hash is kept.
create table sso_journey (
    state_hash text not null primary key,
    browser_hash text not null,
    nonce text not null,
    verifier text not null,
    expires_at_ms bigint not null
);

-- Signed in by the provider: 1.
alter table session add column sso bigint not null default 0 check (sso in (0, 1));
