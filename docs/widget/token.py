"""A token that tells Flightdeck which rep is looking, as the CRM's server makes it. Python 3, nothing to install.

    FLIGHTDECK_KEY_ID=0198… FLIGHTDECK_SIGNING_SECRET=fdsign_… python3 token.py u-7 陈立航

With PyJWT the same is `jwt.encode(claims, secret, "HS256", headers={"kid": key_id})`.
"""

import base64
import hashlib
import hmac
import json
import os
import sys
import time
import uuid


def rep_token(key_id: str, secret: str, rep_id: str, rep_name: str) -> str:
    """One token for one page: call it anew each time a page asks."""
    now = int(time.time())
    header = {"alg": "HS256", "typ": "JWT", "kid": key_id}
    claims = {
        "aud": "flightdeck",
        "sub": rep_id,  # stays the same as long as it is the same rep
        "name": rep_name,
        "iat": now,
        "exp": now + 300,
        "jti": str(uuid.uuid4()),  # never the same twice
    }
    signed = ".".join(_base64(json.dumps(part).encode()) for part in (header, claims))
    signature = hmac.new(secret.encode(), signed.encode(), hashlib.sha256).digest()
    return f"{signed}.{_base64(signature)}"


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


if __name__ == "__main__":
    rep, name = sys.argv[1:3]
    print(rep_token(os.environ["FLIGHTDECK_KEY_ID"], os.environ["FLIGHTDECK_SIGNING_SECRET"], rep, name))
