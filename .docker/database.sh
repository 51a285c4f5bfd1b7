#!/bin/sh
# Makes the database of the compose file when its container first starts, and a user for the servers
# who owns it and is no superuser.
set -eu
psql --set=ON_ERROR_STOP=1 --set=password="$SERVER_PASSWORD" --dbname=postgres <<'SQL'
CREATE ROLE clawver LOGIN PASSWORD :'password';
CREATE DATABASE clawver_orders OWNER clawver;
SQL
