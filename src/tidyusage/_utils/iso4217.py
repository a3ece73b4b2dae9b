"""ISO 4217 currency codes, including those withdrawn since 2020, and their decimals."""

from __future__ import annotations

from typing import Final

# Metals, codes for tests and "no currency" are left out: nothing is charged in them.
ISO_4217: Final = tuple(
    """
    AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BHD BIF BMD BND BOB BOV BRL BSD BTN BWP BYN BZD
    CAD CDF CHE CHF CHW CLF CLP CNY COP COU CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP
    GBP GEL GHS GIP GMD GNF GTQ GYD HKD HNL HTG HUF IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR
    KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL LYD MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN
    MXV MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON RSD RUB RWF SAR SBD
    SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND TOP TRY TTD TWD TZS UAH UGX
    USD USN UYI UYU UYW UZS VED VES VND VUV WST XAF XCD XCG XDR XOF XPF YER ZAR ZMW ZWG
    """.split()  # noqa: SIM905 - a block of codes is read, a list of quoted ones is not
)
WITHDRAWN: Final = ("ANG", "BGN", "CUC", "HRK", "SLL", "ZWL")
# Units of account and codes of funds, in which nobody is billed.
_NO_TENDER: Final = "BOV CHE CHW CLF COU MXV SVC USN UYI UYW VED XDR".split()  # noqa: SIM905 - likewise
# What has been legal tender somewhere since 2020.
NATIONAL: Final = frozenset((*ISO_4217, *WITHDRAWN)) - frozenset(_NO_TENDER)
# How many decimals amounts have, where they are not two.
_DECIMALS: Final = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
    3: "BHD IQD JOD KWD LYD OMR TND",
    4: "CLF UYW",
}
_DECIMALS_OF: Final = {code: n for n, codes in _DECIMALS.items() for code in codes.split()}


def decimals(currency: str) -> int:
    """Return how many decimals a currency has; of one that is no nation's, two."""
    return _DECIMALS_OF.get(currency, 2)
