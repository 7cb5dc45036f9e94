"""Training of the networks that come with the program."""

from ar4d.threads import let_workers_sleep

let_workers_sleep()
