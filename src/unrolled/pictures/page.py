"""stub"""


def page(traces): ...
