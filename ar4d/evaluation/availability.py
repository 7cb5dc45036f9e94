"""What a metric says that cannot be measured on this machine."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class NotAvailable:
    """Why a metric cannot be measured here, and the remedy, in one sentence."""

    reason: str
