"""What SigmaHQ's rules ask of a log source is there: a rule of their shape fires on the samples that it means."""

from __future__ import annotations

import pytest
from support.firing import fires_on

PROCESS = "{product: linux, category: process_creation}"
AUDIT = "{product: linux, service: auditd}"
FILE = "{product: linux, category: file_event}"
WEB = "{category: webserver}"
PROXY = "{category: proxy}"
VIRUS = "{category: antivirus}"
WAF = "{product: modsecurity, category: application}"
NETWORK = "{product: linux, category: network_connection}"
CASES = {
    "auditd": [
        (PROCESS, r"{Image|endswith: /cat, CommandLine|contains: /etc/shadow}", {"a program, raw format without names"}),
        (AUDIT, r"{type: EXECVE, a0|endswith: /sh, a2|contains: chmod}", {"a program with its arguments, the whole event"}),
        (AUDIT, r"{type: SYSCALL, SYSCALL: memfd_create}", {"a program without a file"}),
        (AUDIT, r"{type: PATH, name: /etc/shadow}", {"a file that may not be read"}),
        (AUDIT, r"{type: ADD_USER}", {"a user added"}),
        (FILE, "{TargetFilename|endswith: .txt}", {"a file made", "rights of a file changed", "a file renamed"}),
        (NETWORK, r"{Image|endswith: /perl, DestinationIp: '::1'}", {"a connection by IPv6"}),
    ],
    "apache": [
        (WEB, "{cs-uri-query|contains: UNION%20SELECT}", {"an injection in the query, a user logged in"}),
        (WEB, "{cs-uri-query|contains: ../../../}", {"a path upwards"}),
        (WEB, "{cs-user-agent|contains: sqlmap}", {"a scanner"}),
        (WEB, "{cs-method: POST, cs-uri-stem|endswith: .php, sc-status: 200}", {"a form sent"}),
        (WAF, "['ModSecurity: Access denied']", {"ModSecurity blocks"}),
    ],
    "sysmon_linux": [
        (PROCESS, "{ParentImage|endswith: /java, CommandLine|contains: base64}", {"a process starts, by syslog"}),
        (NETWORK, "{Initiated: 'true', DestinationPort: 443}", {"a connection"}),
        (FILE, "{TargetFilename|contains: /var/www}", {"a file made"}),
        ("{product: linux, category: file_delete}", "{TargetFilename|startswith: /var/log}", {"a file deleted"}),
    ],
    "zeek": [
        ("{product: zeek, service: dns}", "{query|endswith: .example, qtype_name: TXT}", {"a name that is none, TSV"}),
        ("{category: dns}", "{answer: 192.0.2.8}", {"a name asked for"}),
        ("{product: zeek, service: http}", "{resp_mime_types: application/x-dosexec}", {
            "a page", "the book: a program fetched"}),
        ("{product: zeek, service: dce_rpc}", "{operation: [SchRpcRegisterTask, CreateServiceW]}", {
            "a remote call", "a remote call, TSV"}),
        ("{product: zeek, service: smb_files}", r"{path|endswith: 'C$', name|contains: '\Temp\'}", {"a file on a share"}),
        ("{product: zeek, service: kerberos}", "{request_type: AS, cipher: rc4-hmac}", {"a ticket refused"}),
    ],
    "aws_cloudtrail": [
        ("{product: aws, service: cloudtrail}", "{eventName: StopLogging}", {"the trail stopped"}),
        ("{product: aws, service: cloudtrail}", "{requestParameters.userName: an}", {"a key made for another user"}),
        ("{product: aws, service: cloudtrail}", "{responseElements.ConsoleLogin: Failure}", {
            "a refused login to the console", "a failed login to the console",
        }),
    ],
    "microsoft_365": [
        ("{product: m365, service: audit}", "{Operation: UserLoginFailed}", {"a refused login"}),
        ("{product: azure, service: auditlogs}", "{properties.message|contains: secrets}", {"a secret for an application"}),
    ],
    "suricata": [
        ("{category: dns}", "{query|endswith: .example, record_type: A, answer: 203.0.113.66}", {"the answer to it"}),
        (PROXY, "{c-uri|endswith: '.exe?id=7', cs-host|contains: evil, c-useragent|startswith: Mozilla}", {"the request of it"}),
        (WEB, "{cs-uri-stem|endswith: /setup.exe, sc-status: 200}", {"the request of it"}),
    ],
    "fortinet_fortigate": [
        (PROXY, "{c-uri: /bizsquads, action: blocked}", {"a page of a denied category"}),
        (VIRUS, "{Signature|contains: EICAR, Filename: eicar.com}", {"a virus blocked"}),
        ("{category: dns}", "{query|endswith: .example}", {"a name of a blocked domain"}),
    ],
    "paloalto_panos": [
        (PROXY, "{c-uri|contains: /setup.exe, cs-method: GET, cs-host: update.evil-cdn.example}", {
            "a page blocked by its category"}),
        (VIRUS, "{Filename|contains: fake, Action: block-ip}", {"a file judged by WildFire"}),
        ("{category: firewall}", "{dst_port: 443, action: allow}", {"a session ends, syslog of a firewall"}),
    ],
    "cisco_ios": [
        ("{product: cisco, service: aaa}", "[copy, erase]", {"a command that copies the configuration"}),
        ("{product: cisco, service: syslog}", "['%SYS-5-CONFIG_I:']", {"configured by a terminal line"}),
    ],
    "huawei_usg": [
        ("{product: huawei, service: bgp}", "{'|all': [':179', BGP_AUTH_FAILED]}", {
            "a routing neighbour without the right digest"}),
        ("{category: firewall}", "{dst_port: 3389, action: deny}", {"a policy denies"}),
    ],
    "juniper_srx": [
        ("{product: juniper, service: bgp}", "{'|all': [':179', missing MD5 digest]}", {
            "a neighbour without a digest, text alone"}),
        ("{category: firewall}", "{dst_port: 3389}", {"a probe denied"}),
    ],
    "sophos_xg": [
        (PROXY, "{c-uri|contains: /setup.exe, sc-status: 403}", {"a page of a blocked category"}),
    ],
    "eset": [
        (VIRUS, "{Signature|contains: Agent, Filename|contains: Downloads}", {"a virus cleaned"}),
        (PROXY, "{c-uri|contains: /setup.exe}", {"a page filtered"}),
    ],
    "fortinet_fortiweb": [
        (WEB, "{cs-user-agent|contains: sqlmap, cs-method: GET, cs-uri-query|contains: '%27'}", {"an injection stopped"}),
    ],
    "kaspersky": [(VIRUS, "{Signature|contains: Agent, Filename|contains: Downloads}", {"a virus found", "it is deleted"})],
    "trendmicro": [(VIRUS, "{Signature|contains: Eicar, Action: Delete}", {"a virus that Deep Security deleted"})],
    "squid": [
        (PROXY, "{c-useragent|contains: python-requests}", {"combined, a script that finds nothing"}),
        (PROXY, "{c-uri-extension: exe, cs-referrer: null}", {
            "a program fetched from a bare address", "combined, a program, a quote in the user agent"}),
    ],
}  # fmt: skip


@pytest.mark.parametrize(
    ("product", "logsource", "detection", "expected"),
    [(product, *case) for product, cases in CASES.items() for case in cases],
)
def test_a_rule_fires_on_the_samples_that_it_means_and_no_other(
    product: str, logsource: str, detection: str, expected: set[str]
) -> None:
    assert fires_on(product, logsource, detection) == expected
