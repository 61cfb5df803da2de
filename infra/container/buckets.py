"""Make buckets in an S3-compatible store where they are missing: `python buckets.py NAME...`

The store is the one of AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.
"""

import sys

import boto3
from botocore.exceptions import ClientError


def main(names: list[str]) -> None:
    """Make the buckets that are not there.

    Raises:
        ClientError: the store refuses, or a bucket belongs to somebody else.
    """
    store = boto3.client("s3")
    for name in names:
        try:
            store.head_bucket(Bucket=name)
            print(f"{name} is there")
        except ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] != 404:
                raise
            store.create_bucket(Bucket=name)
            print(f"{name} made")


if __name__ == "__main__":
    main(sys.argv[1:])
