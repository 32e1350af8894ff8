"""What the hub is measured against. Each file is a program of its own, run by the Python of `.venv-bench`:

    with_x.py consume --url U --tally FOLDER     five subscribers; prints "ready" once they listen, ends by SIGTERM
    with_x.py publish --url U --seconds S        or --count N; prints {"sent": N, "began": seconds since 1970}

They import nothing of the hub, and of this folder only `common.py`.
"""
