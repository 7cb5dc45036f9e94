"""The browser application: a page that shows runs being made, and their viewers."""

from ar4d.threads import let_workers_sleep

let_workers_sleep()
