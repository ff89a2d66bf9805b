"""Proxies and certificate authorities of a connection, the same for REST and WebSocket.

They come from an explicit setting or the usual environment variables, as in `requests`. `requests.utils` is not used,
because it would have to change the environment of the process for another NO_PROXY.
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
    """A parsed proxy URL. Username and password are unquoted."""

    scheme: str
    host: str
    port: int
    username: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)

    @property
    def shown(self) -> str:
        """Host and port for messages."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def proxy_for(url: str, proxy: str | None, environ: Mapping[str, str]) -> str | None:
    """Return the URL of the proxy for `url`, or None for a direct connection.

    An explicit `proxy` applies to every host, regardless of NO_PROXY. Otherwise the local host is reached directly. For
    other hosts the variables are https_proxy (for https: and wss:), http_proxy (for http: and ws:), all_proxy and
    no_proxy; lowercase names take precedence, and an empty value means no proxy. The settings of macOS and Windows come
    last.
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
    """Return whether `host` is the local host. For a proxy, the same name would mean the proxy's host."""
    name = host.lower().rstrip(".")
    try:
        address = ip_address(name)
    except ValueError:
        return name == "localhost" or name.endswith(".localhost")
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return address.is_loopback or address.is_unspecified


def through(url: str, proxy: str | None, environ: Mapping[str, str]) -> str:
    """Return " through the proxy host:port" for error messages about `url`, or "" for a direct connection."""
    found = proxy_for(url, proxy, environ)
    return f" through the proxy {read_proxy(found).shown}" if found else ""


def _variable(environ: Mapping[str, str], name: str) -> str:
    # In a CGI program, HTTP_PROXY is the "Proxy" header of the request, which anybody can set (httpoxy).
    if name == "http_proxy" and "REQUEST_METHOD" in environ:
        return environ.get(name, "").strip()
    return environ.get(name, environ.get(name.upper(), "")).strip()


def _system_proxy(kind: str, host: str) -> str | None:
    found = urllib.request.getproxies().get(kind)
    return _with_scheme(found) if found and not urllib.request.proxy_bypass(host) else None


def _with_scheme(proxy: str) -> str:
    return proxy if "://" in proxy else f"http://{proxy}"


def bypasses(url: str, no_proxy: str | None) -> bool:
    """Return whether the comma-separated `no_proxy` exempts the host of `url`.

    An entry is `*`, a host (with its subdomains), a host with a port that must also be in `url`, an IP address or a
    network (CIDR).
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
    """Parse a proxy URL. Raises SogniConnectionError, without the password, if it is invalid."""
    redacted = redact(_with_scheme(proxy))
    try:
        parts = urlsplit(_with_scheme(proxy))
        port = parts.port
    except ValueError:
        raise SogniConnectionError(f"proxy must be a valid URL, got {redacted!r}") from None
    scheme = parts.scheme.lower()
    if not parts.hostname or scheme not in _DEFAULT_PORTS:
        allowed = ", ".join(f"{name}://" for name in _DEFAULT_PORTS)
        raise SogniConnectionError(f"proxy must be a URL that starts with {allowed}, got {redacted!r}")
    return Proxy(
        scheme=scheme,
        host=parts.hostname,
        port=port or _DEFAULT_PORTS[scheme],
        username=None if parts.username is None else unquote(parts.username),
        password=None if parts.password is None else unquote(parts.password),
    )


def ca_bundle_for(ca_bundle: str | None, environ: Mapping[str, str]) -> str:
    """Return the file or directory of trusted certificate authorities.

    In order of precedence: the setting, REQUESTS_CA_BUNDLE, CURL_CA_BUNDLE, SSL_CERT_FILE, the first existing directory
    in SSL_CERT_DIR, the authorities of `requests`.
    """
    if ca_bundle:
        return ca_bundle
    for name in _BUNDLE_VARIABLES:
        if environ.get(name):
            return environ[name]
    # Distributions set it to directories that may not exist; OpenSSL skips those.
    directories = environ.get("SSL_CERT_DIR", "").split(os.pathsep)
    return next(filter(os.path.isdir, directories), None) or bundled_authorities()


def tls_context(host: str, ca_bundle: str) -> ssl.SSLContext:
    """Return a TLS context that trusts `ca_bundle`.

    Raises SogniConnectionError with `host` and the bundle if it cannot be read.
    """
    try:
        if os.path.isdir(ca_bundle):
            return ssl.create_default_context(capath=ca_bundle)
        return ssl.create_default_context(cafile=ca_bundle)
    except (OSError, ValueError) as error:
        # SSLError, a subclass of OSError: the file contains no certificates.
        reason = "it contains no certificates" if isinstance(error, ssl.SSLError) else cause_of(error)
        raise SogniConnectionError(
            f"cannot connect to {host}: the CA bundle {ca_bundle!r} cannot be read: {reason}"
        ) from error


def bundled_authorities() -> str:
    """Return the path of the certificate authorities of `requests`."""
    import certifi  # only connections need it, not the import of the package

    return certifi.where()
