"""The test services keep their own promises."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pika
import psycopg
import pytest

from tests.support.missing import missing
from tests.support.servers import Postgres, Rabbit, ServiceUnavailable, postgres_binaries, rabbit_cluster


@pytest.mark.broker
def test_a_durable_message_survives_a_killed_broker(rabbitmq: Rabbit) -> None:
    with pika.BlockingConnection(pika.URLParameters(rabbitmq.url)) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        channel.queue_declare("services.kept", durable=True, arguments={"x-queue-type": "quorum"})
        channel.basic_publish("", "services.kept", b"here", pika.BasicProperties(delivery_mode=2), mandatory=True)

    rabbitmq.kill()
    rabbitmq.start()

    with pika.BlockingConnection(pika.URLParameters(rabbitmq.url)) as connection:
        channel = connection.channel()
        assert channel.basic_get("services.kept", auto_ack=True)[2] == b"here"
        channel.queue_delete("services.kept")


@pytest.mark.broker
def test_a_broker_user_reaches_only_what_it_was_given(rabbitmq: Rabbit) -> None:
    url = rabbitmq.add_user("narrow", "s3cret/with:signs", configure="^mine$", write="^mine$", read="^mine$")

    with pika.BlockingConnection(pika.URLParameters(url)) as connection:
        connection.channel().queue_declare("mine", exclusive=True)
        with pytest.raises(pika.exceptions.ChannelClosedByBroker):
            connection.channel().queue_declare("yours")


@pytest.mark.broker
@pytest.mark.slow
def test_three_brokers_form_one_cluster() -> None:
    try:
        with rabbit_cluster(3) as brokers:
            status = json.loads(brokers[2].ctl("cluster_status", "--formatter", "json"))
    except ServiceUnavailable as reason:
        missing(str(reason))

    assert sorted(status["running_nodes"]) == ["n1@localhost", "n2@localhost", "n3@localhost"]


@pytest.mark.database
def test_a_restarted_database_keeps_its_rows_and_cuts_its_connections(postgres: Postgres) -> None:
    url = postgres.fresh_database()
    connection = psycopg.connect(url, autocommit=True)
    connection.execute("CREATE TABLE kept AS SELECT 1 AS one")

    assert postgres.cut_connections() >= 1
    with pytest.raises(psycopg.OperationalError):
        connection.execute("SELECT one FROM kept")
    postgres.restart()

    with psycopg.connect(url) as again:
        assert again.execute("SELECT one FROM kept").fetchone() == (1,)


@pytest.mark.database
def test_a_killed_test_process_leaves_no_server_behind(postgres: Postgres, tmp_path: Path) -> None:
    try:
        postgres_binaries()
    except ServiceUnavailable as reason:
        missing(str(reason))
    script = textwrap.dedent("""
        import time
        from tests.support.servers import postgres_service
        with postgres_service() as postgres:
            print(postgres.url, flush=True)
            time.sleep(600)
    """)
    env = {name: value for name, value in os.environ.items() if name != "UNEFOIS_TEST_DATABASE_URL"}
    root = Path(__file__).parents[2]
    with subprocess.Popen([sys.executable, "-c", script], cwd=root, env=env, stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        url = run.stdout.readline().strip()
        psycopg.connect(url).close()
        run.send_signal(signal.SIGKILL)

    deadline = time.monotonic() + 20
    while answers(url):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def answers(url: str) -> bool:
    try:
        psycopg.connect(url, connect_timeout=2).close()
    except psycopg.OperationalError:
        return False
    return True
