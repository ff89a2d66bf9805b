"""Which proxy and which certificate authorities a connection uses, the same for REST and WebSocket.

Decides from one explicit setting or the usual environment variables, the way `requests` does. Called by the
blocking shell before it opens a connection. Never opens one, and never changes the environment: the answer
for a NO_PROXY that is not the process's own would need that with `requests.utils`.
"""

from __future__ import annotations

import os
import ssl
import sys
import urllib.request
from collections.abc import Mapping
from ipaddress import IPv6Address, ip_address, ip_network
from urllib.parse import unquote, urlsplit

from attrs import field, frozen

from sogni.errors import SogniConnectionError
from sogni.local.causes import cause_of
from sogni.redaction import SecretUrl, redact

__all__ = ["Proxy", "bypasses", "ca_bundle_for", "is_loopback", "proxy_for", "read_proxy", "through", "tls_context"]

_DEFAULT_PORTS = {"http": 80, "https": 443, "socks4": 1080, "socks4a": 1080, "socks5": 1080, "socks5h": 1080}
_BUNDLE_VARIABLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")


@frozen(kw_only=True)
class Proxy:
    """A proxy's address, taken apart; name and password are as the proxy expects them, unquoted."""

    scheme: str
    host: str
    port: int
    username: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)

    @property
    def shown(self) -> str:
        """Host and port, as they may stand in a message."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def proxy_for(url: str, proxy: str | None, environ: Mapping[str, str]) -> str | None:
    """Return the URL of the proxy for `url`, None for a direct connection.

    `proxy`, when given, is used for every host, whatever NO_PROXY says. Otherwise the local host is reached
    directly, and for any other host https_proxy (for https: and wss:), http_proxy (for http: and ws:), all_proxy and
    no_proxy decide; lowercase names take precedence, and an empty value means no proxy. macOS and Windows settings
    come last.
    """
    if proxy:
        return SecretUrl(_with_scheme(proxy))
    parts = urlsplit(url)
    if is_loopback(parts.hostname or ""):
        return None
    kind = "https" if parts.scheme in ("https", "wss") else "http"
    found = _variable(environ, f"{kind}_proxy") or _variable(environ, "all_proxy")
    if found:
        return None if bypasses(url, _variable(environ, "no_proxy")) else SecretUrl(_with_scheme(found))
    if environ is os.environ and sys.platform in ("darwin", "win32"):
        return _system_proxy(kind, parts.hostname or "")
    return None


def is_loopback(host: str) -> bool:
    """Tell whether `host` is this computer: to a proxy the same name means the proxy's own computer."""
    name = host.lower().rstrip(".")
    try:
        address = ip_address(name)
    except ValueError:
        return name == "localhost" or name.endswith(".localhost")
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return address.is_loopback or address.is_unspecified


def through(url: str, proxy: str | None, environ: Mapping[str, str]) -> str:
    """Return " through the proxy host:port" for error messages about `url`, "" for a direct connection."""
    found = proxy_for(url, proxy, environ)
    return f" through the proxy {read_proxy(found).shown}" if found else ""


def _variable(environ: Mapping[str, str], name: str) -> str:
    # In a CGI program HTTP_PROXY is the request's "Proxy" header: anybody could set it (httpoxy).
    if name == "http_proxy" and "REQUEST_METHOD" in environ:
        return environ.get(name, "").strip()
    return environ.get(name, environ.get(name.upper(), "")).strip()


def _system_proxy(kind: str, host: str) -> str | None:
    found = urllib.request.getproxies().get(kind)
    return _with_scheme(found) if found and not urllib.request.proxy_bypass(host) else None


def _with_scheme(proxy: str) -> str:
    return proxy if "://" in proxy else f"http://{proxy}"


def bypasses(url: str, no_proxy: str | None) -> bool:
    """Tell whether the comma-separated `no_proxy` exempts the host of `url`.

    An entry is `*`, a host (with its subdomains), a host with a port that `url` must name, too, an IP address
    or a network (CIDR).
    """
    parts = urlsplit(url)
    host = (parts.hostname or "").lower().rstrip(".")
    return any(_matches(host, parts.port, entry.strip().lower()) for entry in (no_proxy or "").split(","))


def _matches(host: str, port: int | None, entry: str) -> bool:
    if not entry:
        return False
    if entry == "*":
        return True
    try:
        return ip_address(host) in ip_network(entry.strip("[]"), strict=False)
    except ValueError:
        pass
    name, colon, number = entry.rpartition(":")
    if colon and number.isdigit() and (":" not in name or name.startswith("[")):
        if int(number) != port:
            return False
        entry = name
    entry = entry.strip("[]").lstrip(".")
    return bool(entry) and (host == entry or host.endswith(f".{entry}"))


def read_proxy(proxy: str) -> Proxy:
    """Take a proxy's URL apart; SogniConnectionError, without its password, when it is none."""
    shown = redact(_with_scheme(proxy))
    try:
        parts = urlsplit(_with_scheme(proxy))
        port = parts.port
    except ValueError:
        raise SogniConnectionError(f"the proxy {shown!r} is not a usable address") from None
    scheme = parts.scheme.lower()
    if not parts.hostname or scheme not in _DEFAULT_PORTS:
        allowed = ", ".join(f"{name}://" for name in _DEFAULT_PORTS)
        raise SogniConnectionError(f"the proxy {shown!r} is not an address that starts with {allowed}")
    return Proxy(
        scheme=scheme,
        host=parts.hostname,
        port=port or _DEFAULT_PORTS[scheme],
        username=None if parts.username is None else unquote(parts.username),
        password=None if parts.password is None else unquote(parts.password),
    )


def ca_bundle_for(ca_bundle: str | None, environ: Mapping[str, str]) -> str:
    """Return the file (or directory) of trusted authorities.

    The setting, else REQUESTS_CA_BUNDLE, CURL_CA_BUNDLE or SSL_CERT_FILE, else the first directory of SSL_CERT_DIR that
    exists, else those of `requests`.
    """
    if ca_bundle:
        return ca_bundle
    for name in _BUNDLE_VARIABLES:
        if environ.get(name):
            return environ[name]
    # Distributions set it to places that need not exist, and OpenSSL skips those.
    directories = environ.get("SSL_CERT_DIR", "").split(os.pathsep)
    return next(filter(os.path.isdir, directories), None) or bundled_authorities()


def tls_context(host: str, ca_bundle: str) -> ssl.SSLContext:
    """Return a TLS context that trusts `ca_bundle`.

    Raises SogniConnectionError that names `host` and the bundle if it cannot be read.
    """
    try:
        if os.path.isdir(ca_bundle):
            return ssl.create_default_context(capath=ca_bundle)
        return ssl.create_default_context(cafile=ca_bundle)
    except (OSError, ValueError) as error:
        # An SSLError is an OSError: the file holds no certificates.
        reason = "it holds no certificates" if isinstance(error, ssl.SSLError) else cause_of(error)
        raise SogniConnectionError(
            f"cannot connect to {host}: the CA bundle {ca_bundle!r} cannot be read: {reason}"
        ) from error


def bundled_authorities() -> str:
    """Return the path of the authorities that come with `requests`."""
    import certifi  # late: only a connection needs it, an import of the package does not

    return certifi.where()
