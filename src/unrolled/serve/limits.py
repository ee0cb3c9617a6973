"""Limits of a server: one schema for flags and Python. All are on by default, except the rate."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["Limits"]


class Limits(BaseModel):
    """Limits of a server; beyond one of them a request is refused, with the limit in the message."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    body_bytes: int = Field(8 << 20, ge=1_024, le=1 << 40, description="maximum size of a request's body, in bytes")
    inputs: int = Field(1_024, ge=1, le=1_000_000, description="maximum number of inputs in one request")
    characters: int = Field(100_000, ge=1, le=1 << 40, description="maximum length of one input, in characters")
    length: int = Field(4_096, ge=1, le=1_000_000_000, description="maximum number of tokens that an answer may have")
    beam: int = Field(16, ge=1, le=1_024, description="maximum size of a beam")
    queue: int = Field(256, ge=1, le=1_000_000, description="maximum number of requests that wait for one run")
    seconds: float = Field(60.0, gt=0, le=86_400, description="maximum time of a request, in seconds")
    read_seconds: float = Field(10.0, gt=0, le=3_600, description="maximum time to send a request, in seconds")
    connections: int = Field(2_000, ge=1, le=1_000_000, description="maximum number of connections at once")
    sessions: int = Field(10_000, ge=1, le=10_000_000, description="maximum number of sessions")
    session_bytes: int = Field(1 << 30, ge=1_024, le=1 << 44, description="maximum size of all their states, in bytes")
    session_seconds: float = Field(900.0, gt=0, le=1e9, description="time after which an unused session ends")
    marks: int = Field(16, ge=0, le=10_000, description="maximum number of marks of a session")
    rate: float = Field(0.0, ge=0, le=1e9, description="requests a second that each token may make; 0: not limited")
