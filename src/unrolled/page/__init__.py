"""The page: networks computed in a browser's tab, in one HTML file that needs neither a server nor a network.

`pack` turns runs into the JSON that the page computes, `document` puts it into the file. `built/` is the output of
`make page` from web/ (TypeScript), so that neither users nor tests need Node; `built/sources.sha256` tells whether it
is fresh. `networks/` has the small runs that the page shows by itself, see experiments/page_networks.py.
"""

from unrolled.page.document import NETWORKS, networks, page
from unrolled.page.pack import pack

__all__ = ["NETWORKS", "networks", "pack", "page"]
