"""The tables of what the hub knows: requests, citizens, documents, clients. They share the ledger's metadata."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Double, Index, Integer, LargeBinary, SmallInteger, String, Table, Text, text

from bus.tables import metadata

requests = Table(
    "requests", metadata,
    Column("id", String(36), primary_key=True),
    Column("tenant", String(64), nullable=False),
    Column("procedure", String(64), nullable=False),
    Column("status", String(24), nullable=False),
    Column("phase", String(24)),
    Column("final", SmallInteger, nullable=False),
    Column("reason", Text),
    Column("intake", String(128), nullable=False),  # the connection or client that brought it
    Column("confidential", SmallInteger, nullable=False),
    Column("citizen_id", String(36)),
    Column("submitted_at", String(40), nullable=False),
    Column("received_at", Double, nullable=False),
    Column("status_at", Double, nullable=False),
    Column("spoken", String(24)),  # the last word of the deciding system; None since the request was taken up again
    Column("spoken_at", Double),
    Column("first_received", String(40)),  # RFC 3339, or a day: by the authority first seized, as the intake states it
    Column("competent_received", String(40)),  # by the competent one
    Column("joined_into", String(36)),  # the request that this one is, since an operator said so
    Column("other_intakes", Text),  # who brought those that were joined into this one, separated by spaces
    Index("requests_joined", "joined_into", postgresql_where=text("joined_into IS NOT NULL"),
          sqlite_where=text("joined_into IS NOT NULL")),
    Index("requests_list", "tenant", "received_at", "id"),
    Index("requests_incomplete", "tenant", "spoken_at", postgresql_where=text("spoken = 'incomplete'"),
          sqlite_where=text("spoken = 'incomplete'")),
)  # fmt: skip

# What an operator joined, so that it can be parted: how the request stood, and whom it brought to the other.
request_joins = Table(
    "request_joins", metadata,
    Column("gone_id", String(36), primary_key=True),
    Column("kept_id", String(36), nullable=False),
    Column("tenant", String(64), nullable=False),
    Column("state", Text, nullable=False),
    Column("actor", String(128), nullable=False),
    Column("at", Double, nullable=False),
    Index("request_joins_kept", "kept_id"),
)  # fmt: skip

request_links = Table(
    "request_links", metadata,
    Column("tenant", String(64), primary_key=True),
    Column("system", String(64), primary_key=True),
    Column("native_id", Text, primary_key=True),
    Column("request_id", String(36), nullable=False),
    Index("request_links_request", "request_id"),
)  # fmt: skip

# All the people of a request, whoever asks and for whomever: the mark of one of them holds for the request.
request_people = Table(
    "request_people", metadata,
    Column("request_id", String(36), primary_key=True),
    Column("citizen_id", String(36), primary_key=True),
    Index("request_people_citizen", "citizen_id"),
)  # fmt: skip

# The timeline: every step that any system said, applied or not. `mark` says why one was not.
request_steps = Table(
    "request_steps", metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("request_id", String(36), nullable=False),
    Column("at", Double, nullable=False),
    Column("kind", String(16), nullable=False),  # received, status, withheld, parked, appointment, payment, message
    Column("origin", String(128), nullable=False),
    Column("seq", BigInteger),
    Column("status", String(24)),
    Column("phase", String(24)),
    Column("native_code", Text),
    Column("native_label", Text),
    Column("reason", Text),
    Column("mark", String(24)),
    Column("said_at", Double),  # when, by whoever said it; None where it gave no time of its own
    Column("until", String(10)),  # the day that the deciding system fixed for missing documents
    Index("request_steps_request", "request_id", "at", "id"),
    Index("request_steps_question", "request_id", postgresql_where=text("mark = 'question'"),
          sqlite_where=text("mark = 'question'")),
)  # fmt: skip

# Identifiers that somebody who does not speak for their system put beside a request or a person: they bind nothing
# until that system or an operator confirms them. `subject` is an order key (`r:` a request, `c:` a citizen).
unproved_references = Table(
    "unproved_references", metadata,
    Column("tenant", String(64), primary_key=True),
    Column("subject", String(48), primary_key=True),
    Column("system", String(64), primary_key=True),
    Column("native_id", Text, primary_key=True),
    Column("origin", String(128), nullable=False),
    Column("mark", SmallInteger, nullable=False),  # whether it would keep somebody confidential: the same day
    Column("at", Double, nullable=False),
    Index("unproved_references_age", "tenant", "at"),
    Index("unproved_references_subject", "subject"),
)  # fmt: skip

# Where each appointment, payment and message stands that systems tell of: the last state that was applied, when it was
# said, and the first event of it. `order_key`: a digest of its reference, as that of its events.
followed_subjects = Table(
    "followed_subjects", metadata,
    Column("tenant", String(64), primary_key=True),
    Column("order_key", String(48), primary_key=True),
    Column("state", String(24), nullable=False),
    Column("said_at", Double, nullable=False),
    Column("request_id", String(36)),
    Column("seq", BigInteger, nullable=False),
    Column("at", Double, nullable=False),
    Index("followed_subjects_request", "request_id"),
    Index("followed_subjects_age", "at"),
)  # fmt: skip

# Events on which somebody must act, and that went to nobody who treats the request.
unread_events = Table(
    "unread_events", metadata,
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("tenant", String(64), nullable=False),
    Column("request_id", String(36), nullable=False),
    Column("type", String(128), nullable=False),
    Column("at", Double, nullable=False),
    Index("unread_events_request", "request_id"),
    Index("unread_events_age", "tenant", "at"),
)  # fmt: skip

citizens = Table(
    "citizens", metadata,
    Column("id", String(36), primary_key=True),
    Column("tenant", String(64), nullable=False),
    # Keyed digest of the identity (`hub.citizens.pivots`), which several may have; None until a system told it.
    Column("pivot", String(64)),
    Column("confidential", SmallInteger, nullable=False),
    Column("seen_at", Double, nullable=False),
    Column("merged_into", String(36)),  # who this person is; their row stays, for its pivot and so that it comes back
    Column("in_use", String(16)),  # keyed digest of the name in use that was told beside the identity
    Index("citizens_pivot", "tenant", "pivot"),
    Index("citizens_merged", "merged_into"),
)  # fmt: skip

# This identifier of a system is this citizen: since when, how and by whom that came about.
citizen_links = Table(
    "citizen_links", metadata,
    Column("tenant", String(64), primary_key=True),
    Column("system", String(64), primary_key=True),
    Column("native_id", Text, primary_key=True),
    Column("citizen_id", String(36), nullable=False),
    Column("since", Double, nullable=False, server_default="0"),  # 0: from before this was kept
    Column("how", String(16), nullable=False, server_default="told"),  # see `hub.citizens.repository.Link`
    Column("origin", String(128)),
    Column("score", SmallInteger),  # of a likeness
    # The last event that was accepted before it was made: it counts for those after it. Null before this was kept.
    Column("since_seq", BigInteger),
    Index("citizen_links_citizen", "citizen_id"),
)  # fmt: skip

# The directory: who is connected, with which rights (`hub.routing`). In a version those items stand that began with it,
# or before, and end after it; nothing in them is secret.
directory_items = Table(
    "directory_items", metadata,
    Column("kind", String(16), primary_key=True),
    Column("name", String(128), primary_key=True),
    Column("since_version", BigInteger, primary_key=True, autoincrement=False),
    Column("until_version", BigInteger),
    # The last event before it began to stand without a break: what is known of a connection that was removed meanwhile
    # is known of it no more. 0 for what stood before the first version.
    Column("began_seq", BigInteger, nullable=False),
    Column("body", Text, nullable=False),
    Index("directory_items_standing", "kind", "name", unique=True, postgresql_where=text("until_version IS NULL"),
          sqlite_where=text("until_version IS NULL")),
)  # fmt: skip

directory_versions = Table(
    "directory_versions", metadata,
    Column("version", BigInteger, primary_key=True, autoincrement=False),
    Column("at", Double, nullable=False),
    Column("by", String(128), nullable=False),
    Column("host", String(128), nullable=False),
    Column("digest", String(64)),  # of the files that made it; null for a change that came from no file
    Index("directory_versions_digest", "digest"),
)  # fmt: skip

# The processes of this hub that run now, each with the version by which it works and what it lacks.
processes = Table(
    "processes", metadata,
    Column("owner", String(128), primary_key=True),
    Column("host", String(128), nullable=False),
    Column("pid", Integer, nullable=False),
    Column("roles", String(64), nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("state", Text, nullable=False),
    Column("seen_at", Double, nullable=False),
)  # fmt: skip

# Secrets of connections that were given by command: sealed, and instead of those of the settings file.
connection_secrets = Table(
    "connection_secrets", metadata,
    Column("connection", String(128), primary_key=True),
    Column("setting", String(64), primary_key=True),
    Column("sealed", LargeBinary, nullable=False),
    Column("at", Double, nullable=False),
)  # fmt: skip

# Numbers of households, beside each of their people: they identify nobody, and deliveries to their system carry the one
# told last.
household_links = Table(
    "household_links", metadata,
    Column("tenant", String(64), primary_key=True),
    Column("system", String(64), primary_key=True),
    Column("native_id", Text, primary_key=True),
    Column("citizen_id", String(36), primary_key=True),
    Column("since", Double, nullable=False),
    Column("since_seq", BigInteger),  # as that of `citizen_links`
    Index("household_links_citizen", "citizen_id"),
)  # fmt: skip

# What a system called somebody before it changed its identifiers, for a while: what is on its way still finds them.
renumbered_ids = Table(
    "renumbered_ids", metadata,
    Column("tenant", String(64), primary_key=True),
    Column("system", String(64), primary_key=True),
    Column("old_id", Text, primary_key=True),
    Column("new_id", Text, nullable=False),
    Column("at", Double, nullable=False),
    Index("renumbered_ids_age", "at"),
)  # fmt: skip

# What each reader knows of a field of a citizen (`hub.citizens.news`), sealed under the key of the person. `seq`: the
# event that states what is known now; 0 where nothing is.
citizen_news = Table(
    "citizen_news", metadata,
    Column("citizen_id", String(36), primary_key=True),
    Column("field", String(32), primary_key=True),
    Column("seq", BigInteger, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Column("at", Double, nullable=False),
)  # fmt: skip

documents = Table(
    "documents", metadata,
    Column("tenant", String(64), primary_key=True),
    Column("id", String(64), primary_key=True),
    Column("name", Text, nullable=False),
    Column("media_type", String(128), nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("kind", String(64)),
    Column("owner", String(128), nullable=False),
    Column("request_id", String(36)),
    Column("stored_at", Double, nullable=False),
    Index("documents_age", "stored_at"),
)  # fmt: skip

# Which clients stored a document, each under its own name for it: they may read it again.
document_holders = Table(
    "document_holders", metadata,
    Column("tenant", String(64), primary_key=True),
    Column("document_id", String(64), primary_key=True),
    Column("holder", String(128), primary_key=True),
    Column("name", Text, nullable=False),
    Column("media_type", String(128), nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("kind", String(64)),
)  # fmt: skip

# Which events name a document: noted by `hub.operations.retention` from what was accepted since it last looked.
document_uses = Table(
    "document_uses", metadata,
    Column("tenant", String(64), primary_key=True),
    Column("document_id", String(64), primary_key=True),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Index("document_uses_seq", "seq"),
)  # fmt: skip

clients = Table(
    "clients", metadata,
    Column("id", String(64), primary_key=True),
    Column("tenant", String(64), nullable=False),
    Column("label", Text, nullable=False),
    Column("secret_hash", Text),
    Column("jwks", Text),
    Column("scopes", Text, nullable=False),
    Column("types", Text, nullable=False),  # event types it may publish, separated by spaces
    Column("speaks_for", Text),  # systems beside its own, separated by spaces
    Column("broker_user", String(64), unique=True),
    Column("created_at", Double, nullable=False),
    Column("disabled", SmallInteger, nullable=False),
    Column("old_secret_hash", Text),  # of the secret before the last rotation, taken until then
    Column("old_secret_until", Double),
    Column("tokens_from", Double),  # tokens issued before are refused
)  # fmt: skip

# Assertions (RFC 7523 `jti`) already used, until they expire.
used_assertions = Table(
    "used_assertions", metadata,
    Column("client_id", String(64), primary_key=True),
    Column("jti", String(128), primary_key=True),
    Column("expires", Double, nullable=False),
)  # fmt: skip

idempotent_answers = Table(
    "idempotent_answers", metadata,
    Column("client_id", String(64), primary_key=True),
    Column("key", String(128), primary_key=True),
    Column("digest", LargeBinary(32), nullable=False),
    Column("status", Integer),
    Column("body", LargeBinary),
    Column("at", Double, nullable=False),
)  # fmt: skip

# What signed calls to `/in/{connection}` may use once, as a digest, whichever connection it came by.
used_nonces = Table(
    "used_nonces", metadata,
    Column("mark", LargeBinary(32), primary_key=True),
    Column("connection", String(128), nullable=False),
    Column("until", Double, nullable=False),
    Index("used_nonces_connection", "connection"),
    Index("used_nonces_until", "until"),
)  # fmt: skip

# Packages that pull their deliveries: the last number that each client was given, when it last called, and what the
# last look found: how many wait, and what is wrong since when ("" for nothing).
pulling_clients = Table(
    "pulling_clients", metadata,
    Column("client_id", String(64), primary_key=True),
    Column("tenant", String(64), nullable=False),
    Column("connection", String(128), nullable=False),
    Column("number", BigInteger, nullable=False),
    Column("called_at", Double, nullable=False),
    Column("waiting", Integer, nullable=False),
    Column("alarm", String(16), nullable=False),
    Column("alarm_at", Double),
    Index("pulling_clients_tenant", "tenant", "alarm"),
)  # fmt: skip

# What each of them was shown, under its own number. `showings`: how often; `outcome` and `digest`: its last answer,
# NULL until it has answered the last showing.
pulled_deliveries = Table(
    "pulled_deliveries", metadata,
    Column("client_id", String(64), primary_key=True),
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("connection", String(128), nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("showings", Integer, nullable=False),
    Column("shown_at", Double, nullable=False),
    Column("outcome", String(12)),
    Column("digest", LargeBinary(32)),
    Index("pulled_deliveries_of", "client_id", "connection", "seq", unique=True),
    Index("pulled_deliveries_shown", "client_id", "number", postgresql_where=text("outcome IS NULL"),
          sqlite_where=text("outcome IS NULL")),
)  # fmt: skip

# Connections to which what they had is sent again from a point on: how far that is, and how many it was.
delivery_replays = Table(
    "delivery_replays", metadata,
    Column("connection", String(128), primary_key=True),
    Column("since", Double, nullable=False),
    Column("position", BigInteger, nullable=False),
    Column("sent", Integer, nullable=False),
    Column("asked_at", Double, nullable=False),
    Column("ended_at", Double),
)  # fmt: skip

webhooks = Table(
    "webhooks", metadata,
    Column("id", String(36), primary_key=True),
    Column("tenant", String(64), nullable=False),
    Column("client_id", String(64), nullable=False),
    Column("url", Text, nullable=False),
    Column("types", Text, nullable=False),
    Column("keys", LargeBinary, nullable=False),
    Column("thin", SmallInteger, nullable=False),
    Column("created_at", Double, nullable=False),
)  # fmt: skip

# The key of each person, wrapped; NULL once it was destroyed: what was sealed under it can be read no more.
person_keys = Table(
    "person_keys", metadata,
    Column("citizen_id", String(36), primary_key=True),
    Column("wrapped", LargeBinary),
    Column("at", Double, nullable=False),
)  # fmt: skip

# One row, `id` 1: the root key, wrapped under `encryption_key`; `wrapped_by` is that key's name. All NULL in a database
# from before: its root key is the `encryption_key` of then, to be wrapped when it is opened.
root_keys = Table(
    "root_keys", metadata,
    Column("id", SmallInteger, primary_key=True, autoincrement=False),
    Column("wrapped", LargeBinary),
    Column("wrapped_by", String(16)),
    Column("at", Double),
)  # fmt: skip

# Values that a grant allows to keep for a while. `place`: keyed digest of tenant, grant, procedure and question.
evidence_held = Table(
    "evidence_held", metadata,
    Column("citizen_id", String(36), primary_key=True),
    Column("place", String(64), primary_key=True),
    Column("type", String(64), nullable=False),
    Column("connection", String(128), nullable=False),
    Column("sealed", LargeBinary, nullable=False),  # under the key of the person
    Column("at", Double, nullable=False),
    Column("until", Double, nullable=False),
    Index("evidence_held_until", "until"),
)  # fmt: skip

# Who received which evidence about whom: a correction must reach them (RGPD art. 19) until then.
evidence_recipients = Table(
    "evidence_recipients", metadata,
    Column("exchange_id", String(36), primary_key=True),
    Column("tenant", String(64), nullable=False),  # whose data
    Column("citizen_id", String(36), nullable=False),
    Column("client_tenant", String(64), nullable=False),
    Column("client_id", String(64), nullable=False),
    Column("type", String(64), nullable=False),
    Column("version", SmallInteger, nullable=False),
    Column("fields", Text, nullable=False),  # separated by spaces
    Column("connection", String(128), nullable=False),
    Column("procedure", String(64), nullable=False),
    Column("at", Double, nullable=False),
    Column("until", Double, nullable=False),
    Index("evidence_recipients_citizen", "citizen_id", "type"),
    Index("evidence_recipients_until", "until"),
)  # fmt: skip

# What a client must be told of evidence that it received: told by a delivery of the event `seq`, or acknowledged by it.
_untold = "told_at IS NULL AND acknowledged_at IS NULL"
evidence_corrections = Table(
    "evidence_corrections", metadata,
    Column("id", String(36), primary_key=True),
    Column("tenant", String(64), nullable=False),  # whose data
    Column("citizen_id", String(36), nullable=False),
    Column("client_tenant", String(64), nullable=False),
    Column("client_id", String(64), nullable=False),
    Column("change", String(16), nullable=False),  # corrected, erased
    Column("cause", String(16), nullable=False),  # source, identity, person
    Column("type", String(64), nullable=False),
    Column("version", SmallInteger, nullable=False),
    Column("fields", Text, nullable=False),  # separated by spaces
    Column("exchanges", Text, nullable=False),  # separated by spaces
    Column("effective", String(10), nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("at", Double, nullable=False),
    Column("until", Double, nullable=False),  # the client keeps nothing of it after that
    Column("told_at", Double),
    Column("acknowledged_at", Double),
    Index("evidence_corrections_open", "client_tenant", "client_id", "at", postgresql_where=text(_untold),
          sqlite_where=text(_untold)),
    Index("evidence_corrections_citizen", "citizen_id"),
    Index("evidence_corrections_until", "until"),
)  # fmt: skip

# Evidence that its person looks at before the client may have it, for some minutes. `token`: digest of the one in the
# address.
exchange_previews = Table(
    "exchange_previews", metadata,
    Column("id", String(36), primary_key=True),
    Column("token", String(64), nullable=False, unique=True),
    Column("client_id", String(64), nullable=False),
    Column("grant_id", String(64), nullable=False),
    Column("citizen_id", String(36), nullable=False),
    Column("sealed", LargeBinary, nullable=False),  # under the key of the person
    Column("decision", String(8), nullable=False),  # open, used, refused
    Column("until", Double, nullable=False),
    Column("level", String(16)),  # how surely who decided was signed in; NULL when by the address alone
)  # fmt: skip

# People who sign in to look at a preview. `id`: digest of the secret that the browser has in a cookie.
preview_sign_ins = Table(
    "preview_sign_ins", metadata,
    Column("id", String(64), primary_key=True),
    Column("preview_id", String(36), nullable=False, index=True),
    Column("level", String(16)),  # NULL until they are back from FranceConnect
    Column("sealed", LargeBinary),  # the proof that ends the session there, under the key of the person
    Column("until", Double, nullable=False),
)  # fmt: skip

# What was done: each line is written in the transaction of what it tells, and never changed. The sealer gives it its
# `position` and the hash of its text.
journal = Table(
    "journal", metadata,
    Column("id", String(36), primary_key=True),
    Column("tenant", String(64), nullable=False),
    Column("kind", String(16), nullable=False),  # exchange, read, correction, operator, deliveries
    Column("act", String(64), nullable=False),
    Column("actor", String(128), nullable=False),
    Column("outcome", String(64), nullable=False),
    Column("citizen_id", String(36)),
    Column("facts", Text, nullable=False),
    Column("sealed", LargeBinary),  # what is personal, under the key of the person
    Column("at", Double, nullable=False),
    Column("position", BigInteger),
    Column("hash", String(64)),
    Index("journal_position", "position", unique=True),
    Index("journal_citizen", "citizen_id", "at", postgresql_where=text("citizen_id IS NOT NULL"),
          sqlite_where=text("citizen_id IS NOT NULL")),
    Index("journal_unsealed", "at", postgresql_where=text("position IS NULL"), sqlite_where=text("position IS NULL")),
)  # fmt: skip

# The seals: they stay when their lines are past their time.
journal_segments = Table(
    "journal_segments", metadata,
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("first", BigInteger, nullable=False),
    Column("last", BigInteger, nullable=False),
    Column("root", String(64), nullable=False),
    Column("previous", String(64), nullable=False),  # the hash of the seal before
    Column("sealed_at", String(40), nullable=False),
    Column("kid", String(64), nullable=False),
    Column("key", String(64), nullable=False),
    Column("signature", String(128), nullable=False),
    Column("time_stamp", LargeBinary),  # RFC 3161, of the hash of the seal
    Index("journal_segments_last", "last", unique=True),
)  # fmt: skip

# Deliveries that had no end when the journal passed by them: it comes back.
journal_late = Table(
    "journal_late", metadata,
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("connection", String(128), primary_key=True),
)  # fmt: skip

# The identity of each person, under their key. Of somebody and those who were merged into them, the one that is shown
# is the last that was told as a change of civil status.
citizen_identities = Table(
    "citizen_identities", metadata,
    Column("citizen_id", String(36), primary_key=True),
    Column("sealed", LargeBinary, nullable=False),
    Column("changed_at", Double, nullable=False, server_default="0"),  # 0: it was no change
)  # fmt: skip

# Where alike identities meet: keyed digests, which tell nobody who is here (`hub.citizens.matching.blocking_keys`).
citizen_blocks = Table(
    "citizen_blocks", metadata,
    Column("block", String(32), primary_key=True),
    Column("citizen_id", String(36), primary_key=True),
    Index("citizen_blocks_citizen", "citizen_id"),
)  # fmt: skip

# How far the keys of the identities of a tenant were made anew since they are made of something else (`version`).
rekeyings = Table(
    "rekeyings", metadata,
    Column("version", SmallInteger, primary_key=True, autoincrement=False),
    Column("tenant", String(64), primary_key=True),
    Column("after", String(36), nullable=False),  # the last citizen whose keys are new; empty at the end
    Column("people", Integer, nullable=False),
    Column("changed", Integer, nullable=False),  # who have another pivot
    Column("unsure", Integer, nullable=False),  # of these, whose identity no longer says who somebody is
    Column("asked", Integer, nullable=False),  # questions that were opened
    Column("unplaced", Integer, nullable=False),  # as they were: nobody can say of which sector they are
    Column("done_at", Double),
)  # fmt: skip

# What an operator must decide, and what was decided, which is not asked again. The id is made of what is asked.
citizen_reviews = Table(
    "citizen_reviews", metadata,
    Column("id", String(32), primary_key=True),
    Column("tenant", String(64), nullable=False),
    Column("kind", String(8), nullable=False),  # person, value
    Column("state", String(8), nullable=False),  # open, same, distinct; taken, kept
    Column("citizen_id", String(36), nullable=False),
    Column("other_id", String(36)),
    Column("field", String(32)),
    Column("facts", Text, nullable=False),  # why, without personal data
    Column("sealed", LargeBinary),  # the value that was not spread, under the person's key
    Column("origin", String(128), nullable=False),
    Column("opened_at", Double, nullable=False),
    Column("decided_at", Double),
    Column("decided_by", String(128)),
    Index("citizen_reviews_open", "state", "tenant", "opened_at"),
    Index("citizen_reviews_citizen", "citizen_id"),
    Index("citizen_reviews_other", "other_id"),
)  # fmt: skip

# What a steward looks at before many questions are answered at once: of one group (an origin, a score, an explanation),
# so many of those that were open at that moment. `size`: how many were drawn of the `population`.
question_samples = Table(
    "question_samples", metadata,
    Column("id", String(12), primary_key=True),
    Column("group_id", String(12), nullable=False),
    Column("tenant", String(64), nullable=False),
    Column("origin", String(128), nullable=False),
    Column("score", SmallInteger, nullable=False),
    Column("explanation", Text, nullable=False),  # the levels that speak against: nothing personal
    Column("population", Integer, nullable=False),
    Column("size", Integer, nullable=False),
    Column("drawn_at", Double, nullable=False),
    Column("drawn_by", String(128), nullable=False),
    Column("act_id", String(12)),  # the act that rests on it
    Index("question_samples_group", "group_id", "drawn_at"),
    Index("question_samples_age", "drawn_at"),
)  # fmt: skip

question_sample_members = Table(
    "question_sample_members", metadata,
    Column("sample_id", String(12), primary_key=True),
    Column("place", Integer, primary_key=True),
    Column("review_id", String(32), nullable=False),
    Column("answer", String(8)),  # same, distinct, unsure; NULL until it is answered
    Column("answered_by", String(128)),
    Index("question_sample_members_review", "review_id"),
)  # fmt: skip

# Many questions of one group answered as one act: how far it has come, by the time and the id of the last question.
question_acts = Table(
    "question_acts", metadata,
    Column("id", String(12), primary_key=True),
    Column("sample_id", String(12), nullable=False, unique=True),
    Column("tenant", String(64), nullable=False),
    Column("answer", String(8), nullable=False),  # same, distinct
    Column("doubles", SmallInteger, nullable=False),  # whether two identifiers of one system may become one person
    Column("state", String(8), nullable=False),  # running, done, undoing, undone
    Column("after_at", Double, nullable=False),
    Column("after_id", String(32), nullable=False),
    Column("place", Integer, nullable=False),  # of the last question
    Column("started_at", Double, nullable=False),
    Column("started_by", String(128), nullable=False),
    Column("ended_at", Double),
    Index("question_acts_age", "started_at"),
)  # fmt: skip

# What an act did with each question: merged, third (they were one by way of a third), distinct; else why it was left.
question_answers = Table(
    "question_answers", metadata,
    Column("act_id", String(12), primary_key=True),
    Column("place", Integer, primary_key=True),
    Column("review_id", String(32), nullable=False),
    Column("outcome", String(24), nullable=False),
    Column("gone_id", String(36)),  # the merge
    Column("at", Double, nullable=False),
    Column("undone", String(8)),  # open: it is asked again; stays: somebody decided since
    Index("question_answers_gone", "gone_id"),
)  # fmt: skip

# How many questions about people each origin opened on each day, and how many of its events are held because they would
# open more; `urgent` and the times are of those.
question_days = Table(
    "question_days", metadata,
    Column("origin", String(128), primary_key=True),
    Column("day", String(10), primary_key=True),  # UTC
    Column("tenant", String(64), nullable=False),
    Column("asked", Integer, nullable=False),
    Column("held", Integer, nullable=False),
    Column("urgent", SmallInteger, nullable=False),
    Column("since", Double, nullable=False),
    Column("last_at", Double, nullable=False),
    Index("question_days_held", "tenant", "day", postgresql_where=text("held > 0"), sqlite_where=text("held > 0")),
)  # fmt: skip

# The events that are held so: linked to nobody, told to nobody.
held_events = Table(
    "held_events", metadata,
    Column("day", String(10), primary_key=True),
    Column("origin", String(128), primary_key=True),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
)  # fmt: skip

# Until when an origin may open any number of questions: its first load.
first_loads = Table(
    "first_loads", metadata,
    Column("origin", String(128), primary_key=True),
    Column("until", Double, nullable=False),
)  # fmt: skip

# First loads of connections: by whom, under which impact assessment, how far each came and with what, in numbers.
loads = Table(
    "loads", metadata,
    Column("id", String(12), primary_key=True),
    Column("tenant", String(64), nullable=False),
    Column("connection", String(128), nullable=False),
    Column("assessment", Text, nullable=False),
    Column("actor", String(128), nullable=False),
    Column("content", String(64), nullable=False),  # keyed digest: the same file goes on where it was stopped
    Column("reached", Integer, nullable=False),
    Column("counts", Text, nullable=False),
    Column("started_at", Double, nullable=False),
    Column("ended_at", Double),
    Column("undone_at", Double),
    Index("loads_connection", "connection", "started_at"),
    Index("loads_age", "started_at"),
)  # fmt: skip

# Whom a package has a record of and of whom the hub knows nothing: nobody's row, until somebody of that identity
# becomes known or its time is over. The id is a keyed digest of the identifier; identity and identifier are sealed
# under a key derived from the root key. `tried`: a digest of those with whom it was compared.
pending_pairs = Table(
    "pending_pairs", metadata,
    Column("id", String(32), primary_key=True),
    Column("tenant", String(64), nullable=False),
    Column("connection", String(128), nullable=False),
    Column("load_id", String(12), nullable=False),
    Column("pivot", String(64)),
    Column("made_of", SmallInteger, nullable=False),  # the KEYS (`hub.citizens.rekeying`) of pivot and blocks
    Column("sealed", LargeBinary, nullable=False),
    Column("tried", String(16), nullable=False),
    Column("until", Double, nullable=False),
    Index("pending_pairs_pivot", "tenant", "pivot"),
    Index("pending_pairs_load", "connection", "load_id"),
    Index("pending_pairs_until", "until"),
)  # fmt: skip
pending_blocks = Table(
    "pending_blocks", metadata,
    Column("pair_id", String(32), primary_key=True),
    Column("block", String(32), primary_key=True),
    Index("pending_blocks_block", "block"),
)  # fmt: skip

# Merges that hold, with what moved, so that each can be taken back.
citizen_merges = Table(
    "citizen_merges", metadata,
    Column("gone_id", String(36), primary_key=True),
    Column("kept_id", String(36), nullable=False),
    Column("tenant", String(64), nullable=False),
    Column("moved", Text, nullable=False),
    Column("actor", String(128), nullable=False),
    Column("at", Double, nullable=False),
    Index("citizen_merges_kept", "kept_id"),
)  # fmt: skip

# What needs somebody, one row for all that has one cause. The id is made of tenant, kind, what it is about and cause:
# the same trouble has the same one when it comes back. `tenant` is empty for what concerns whoever runs the hub.
troubles = Table(
    "troubles", metadata,
    Column("id", String(16), primary_key=True),
    Column("tenant", String(64), nullable=False),
    Column("kind", String(32), nullable=False),
    Column("about", String(128), nullable=False),  # a connection or client, a procedure, a queue
    Column("cause", Text, nullable=False),  # in French, without personal data
    Column("urgent", SmallInteger, nullable=False),  # the same day
    Column("number", Integer, nullable=False),
    Column("since", Double, nullable=False),  # of the oldest that is there now
    Column("last_at", Double, nullable=False),
    Column("opened_at", Double, nullable=False),
    Column("closed_at", Double),
    Index("troubles_open", "tenant", "kind", postgresql_where=text("closed_at IS NULL"),
          sqlite_where=text("closed_at IS NULL")),
    Index("troubles_closed", "closed_at"),
)  # fmt: skip

# Questions of each grant in its last minute, over all processes.
grant_rates = Table(
    "grant_rates", metadata,
    Column("grant_id", String(64), primary_key=True),
    Column("minute", BigInteger, nullable=False),
    Column("taken", Integer, nullable=False),
)  # fmt: skip

# What went wrong and left nothing else: a file set aside, a call that nobody could read, a record that was not
# acknowledged. One row for each cause, or for each record of it that has a name of its own.
trouble_signals = Table(
    "trouble_signals", metadata,
    Column("id", String(32), primary_key=True),  # digest of connection, kind, code and record
    Column("tenant", String(64), nullable=False),
    Column("connection", String(128), nullable=False),
    Column("kind", String(32), nullable=False),
    Column("code", String(64), nullable=False),
    Column("place", Text, nullable=False),  # of the last one
    Column("reason", Text, nullable=False),
    Column("number", Integer, nullable=False),
    Column("at", Double, nullable=False),
    Column("last_at", Double, nullable=False),
    Index("trouble_signals_kind", "tenant", "kind", "at"),
    Index("trouble_signals_cause", "connection", "kind", "code"),
    Index("trouble_signals_age", "last_at"),
)  # fmt: skip

# The shape of what each operation of a connection's package answers: places and types, no value.
answer_shapes = Table(
    "answer_shapes", metadata,
    Column("connection", String(128), primary_key=True),
    Column("operation", String(200), primary_key=True),
    Column("known", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("last_at", Double, nullable=False),  # to the day
    Index("answer_shapes_age", "last_at"),
)  # fmt: skip

# What changed in one of them, until a person accepts it or it is gone.
shape_changes = Table(
    "shape_changes", metadata,
    Column("id", String(32), primary_key=True),  # digest of connection, operation and change
    Column("tenant", String(64), nullable=False),
    Column("connection", String(128), nullable=False),
    Column("operation", String(200), nullable=False),
    Column("change", String(8), nullable=False),  # new, missing, type
    Column("place", String(300), nullable=False),
    Column("was", String(100), nullable=False),
    Column("now", String(100), nullable=False),
    Column("at", Double, nullable=False),
    Index("shape_changes_tenant", "tenant", "at"),
    Index("shape_changes_of", "connection", "operation"),
)  # fmt: skip

# What a connection brought and the door refused, where nobody can be told so: kept for a while, the event encrypted as
# event bodies are.
refused_events = Table(
    "refused_events", metadata,
    Column("id", String(32), primary_key=True),
    Column("tenant", String(64), nullable=False),
    Column("connection", String(128), nullable=False),
    Column("type", String(128), nullable=False),
    Column("code", String(64), nullable=False),
    Column("pointer", Text),
    Column("reason", Text, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Column("at", Double, nullable=False),
    Column("last_at", Double, nullable=False),
    Index("refused_events_cause", "connection", "code", "at"),
    Index("refused_events_age", "last_at"),
)  # fmt: skip

# Since when each connection is in its mode.
connection_modes = Table(
    "connection_modes", metadata,
    Column("connection", String(128), primary_key=True),
    Column("mode", String(8), nullable=False),
    Column("since", Double, nullable=False),
)  # fmt: skip

# What a connection that observes would have sent and taken in, by kind and outcome: numbers, and one redacted sample.
observed_kinds = Table(
    "observed_kinds", metadata,
    Column("connection", String(128), primary_key=True),
    Column("direction", String(8), primary_key=True),
    Column("kind", String(128), primary_key=True),
    Column("outcome", String(16), primary_key=True),
    Column("code", String(64), primary_key=True),
    Column("number", BigInteger, nullable=False),
    Column("at", Double, nullable=False),
    Column("last_at", Double, nullable=False),
    Column("sample", Text),
    Index("observed_kinds_age", "last_at"),
)  # fmt: skip

# Keyed digests of the records that were counted: a poll that observes reads the same ones each time.
observed_marks = Table(
    "observed_marks", metadata,
    Column("connection", String(128), primary_key=True),
    Column("mark", String(32), primary_key=True),
    Column("at", Double, nullable=False),
    Index("observed_marks_age", "at"),
)  # fmt: skip

# Calls of packages that were answered as taken while their connection observed: what they brought, encrypted as event
# bodies are, until it is handed in. `documents`: the ids of those that it names, separated by spaces.
observed_calls = Table(
    "observed_calls", metadata,
    Column("connection", String(128), primary_key=True),
    Column("number", BigInteger, primary_key=True, autoincrement=False),  # in the order in which they came
    Column("tenant", String(64), nullable=False),
    Column("mark", String(32), nullable=False),
    Column("events", Integer, nullable=False),
    Column("size", Integer, nullable=False),
    Column("documents", Text, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Column("at", Double, nullable=False),
    Index("observed_calls_mark", "connection", "mark", unique=True),
    Index("observed_calls_room", "connection", "size", "at"),
    Index("observed_calls_age", "at"),
)  # fmt: skip

# INSEE's file of the movements of communes, compressed, where somebody imported it: one row. It is public and concerns
# nobody.
commune_files = Table(
    "commune_files", metadata,
    Column("id", SmallInteger, primary_key=True, autoincrement=False),
    Column("content", LargeBinary, nullable=False),
    Column("imported_at", Double, nullable=False),
)  # fmt: skip

# What must be told again to whoever lacks it: of a person, all that is known (`field` "") or one field. `seq`: 0, or
# the event whose day comes. `origin`: NULL while the hub can say it itself; else who must state it again.
catch_ups = Table(
    "catch_ups", metadata,
    Column("citizen_id", String(36), primary_key=True),
    Column("field", String(32), primary_key=True),
    Column("reader", String(128), primary_key=True),  # for whom it was asked; "": for whoever lacks it
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("tenant", String(64), nullable=False),
    Column("cause", String(24), nullable=False),
    Column("due", Double, nullable=False),
    Column("origin", String(128)),
    Column("asked_at", Double, nullable=False),
    Index("catch_ups_due", "due", "citizen_id"),
    Index("catch_ups_seq", "seq", postgresql_where=text("seq > 0"), sqlite_where=text("seq > 0")),
    # What one origin must state again, in the order in which it was missed.
    Index("catch_ups_origin", "origin", "asked_at", "citizen_id", postgresql_where=text("origin IS NOT NULL"),
          sqlite_where=text("origin IS NOT NULL")),
)  # fmt: skip

# What each connection was granted of people when that was last looked at (JSON); where it must be told what is known of
# all its people, `after`: the last person of whom that was asked.
reader_catch_ups = Table(
    "reader_catch_ups", metadata,
    Column("reader", String(128), primary_key=True),
    Column("tenant", String(64), nullable=False),
    Column("granted", Text),
    Column("cause", String(24)),
    Column("after", String(36)),
    Column("asked_at", Double, nullable=False),
)  # fmt: skip
