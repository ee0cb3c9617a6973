"""Answers over HTTP, and sessions whose state is a value; needs the extra `serve`.

One subject a file: `app` the routes (parse, call, reply), `asking` the questions of each task, `batcher` the thread
that owns a model, `rows` its batches, whose rows join and leave at each step, `sessions`, `guards`, `limits`,
`refusals` the one shape of an error, `metrics`, `workers`, `server` the process.
"""
