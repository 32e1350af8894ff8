#!/bin/sh
# Run by the image of PostgreSQL when its folder is empty: a role for the hub that owns its database and nothing else.
# The superuser keeps no password: it is reached from inside the container alone.
set -e
psql -v ON_ERROR_STOP=1 --no-psqlrc --username "${POSTGRES_USER:-postgres}" --dbname postgres <<'SQL'
\set password `cat /run/secrets/database_password`
\set admin `echo "${POSTGRES_USER:-postgres}"`
CREATE ROLE unefois LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS PASSWORD :'password';
CREATE DATABASE unefois OWNER unefois;
REVOKE ALL ON DATABASE unefois, postgres FROM PUBLIC;
ALTER ROLE :"admin" PASSWORD NULL;
SQL
