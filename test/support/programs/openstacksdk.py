"""What openstacksdk makes of each case of a corpus, as one JSON object.

    /usr/bin/python3 openstacksdk.py FOLDER

Each case is a YAML file with `env` and `files`. Its files are laid out in a folder of their own, which is the working
directory, HOME being `home` in it. `$CASE` in a value of `env` or in a file stands for that folder.
"""
import importlib
import json
import os
import sys
import tempfile
import warnings

import requests
import yaml

warnings.simplefilter('ignore')

# The command line hands these to the SDK as arguments, beside a cloud of clouds.yaml.
ARGUMENTS = ('region_name', 'interface', 'cacert', 'cert', 'key')


class Sent(Exception):
    """A login on its way to Keystone, which is not there."""


class Session:
    def post(self, url, json=None, **kwargs):
        raise Sent(url, json)


def login_of(auth, auth_url):
    """Where a login goes, and its body. For `password` and `token` the SDK asks Keystone first: it has version 3 only."""
    if hasattr(auth, 'create_plugin'):
        auth = auth.create_plugin(None, (3, 0), auth_url)
    try:
        auth.get_auth_ref(Session())
    except Sent as sent:
        return sent.args
    raise AssertionError('no login was sent')


def verification(verify):
    """As the HTTP library takes it in the end: its own variables count where nothing else was said."""
    return requests.Session().merge_environment_settings('https://k.example', {}, None, verify, None)['verify']


def content_of(path):
    if not isinstance(path, str):
        return path
    with open(path) as file:
        return file.read()


def answer():
    # Where to look for files is settled when the module is loaded.
    loader = importlib.reload(importlib.import_module('openstack.config.loader'))
    arguments = {key: os.environ['OS_' + key.upper()] for key in ARGUMENTS if os.environ.get('OS_' + key.upper())}
    cloud = loader.OpenStackConfig().get_one(**arguments)
    url, body = login_of(cloud.get_auth(), cloud.config['auth'].get('auth_url'))
    verify, cert = cloud.get_requests_verify_args()
    cert, key = cert if isinstance(cert, tuple) else (cert, None)
    return {
        'login_url': url,
        'login': body['auth'],
        'region': cloud.get_region_name('block-storage') or None,
        'interface': cloud.get_interface('block-storage'),
        'endpoint': cloud.get_endpoint('block-storage') or None,
        'verify': content_of(verification(verify)),
        'cert': content_of(cert or None),
        'key': content_of(key or None),
    }


def run(case, folder):
    for path, content in case.get('files', {}).items():
        target = os.path.join(folder, path.replace('~', 'home'))
        os.makedirs(os.path.dirname(target), exist_ok=True)
        with open(target, 'w') as file:
            file.write(content.replace('$CASE', folder))
    os.environ.clear()
    os.environ.update({'HOME': os.path.join(folder, 'home')})
    os.environ.update({name: value.replace("$CASE", folder) for name, value in case.get('env', {}).items()})
    os.chdir(folder)
    try:
        return answer()
    except Exception as error:
        return {'refused': type(error).__name__}


def main(corpus):
    answers = {}
    for name in sorted(os.listdir(corpus)):
        if name.endswith('.yaml'):
            with open(os.path.join(corpus, name)) as file:
                case = yaml.safe_load(file)
            with tempfile.TemporaryDirectory() as folder:
                answers[name[:-len('.yaml')]] = run(case, os.path.realpath(folder))
                os.chdir('/')
    json.dump(answers, sys.stdout, indent=2, sort_keys=True, default=str)
    print()


main(os.path.realpath(sys.argv[1]))
