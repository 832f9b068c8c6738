"""
What MiniStack's CloudFormation lacks of resource types that a deployment uses. Python runs this file at its start when its
folder is in PYTHONPATH, so MiniStack itself stays as it was installed. Each entry names what AWS documents.
"""

import string


def _rule_parameters(properties):
    """A rule's template properties as those of AuthorizeSecurityGroupIngress and -Egress."""
    parameters = {"GroupId": [properties["GroupId"]]}
    prefix = "IpPermissions.1."
    for name in ("IpProtocol", "FromPort", "ToPort"):
        if name in properties:
            parameters[prefix + name] = [str(properties[name])]
    if "CidrIp" in properties:
        parameters[prefix + "IpRanges.1.CidrIp"] = [properties["CidrIp"]]
    peer = properties.get("SourceSecurityGroupId") or properties.get("DestinationSecurityGroupId")
    if peer is not None:
        parameters[prefix + "Groups.1.GroupId"] = [peer]
    return parameters


def _succeed(resource_type, answer):
    status, _headers, body = answer
    if status >= 400:
        raise ValueError(f"{resource_type}: {body!r}")


def _security_group_rule(resource_type, authorize, revoke):
    """
    https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-ec2-securitygroupingress.html
    https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-ec2-securitygroupegress.html
    """

    def create(logical_id, properties, stack_name):
        _succeed(resource_type, authorize(_rule_parameters(properties)))
        return f"{stack_name}-{logical_id}", {}

    def delete(physical_id, properties):
        revoke(_rule_parameters(properties))

    return {"create": create, "delete": delete}


def _secret_string(original):
    """
    ExcludePunctuation of
    https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-properties-secretsmanager-secret-generatesecretstring.html
    """

    def secret_string(properties):
        generate = properties.get("GenerateSecretString")
        if not generate or str(generate.get("ExcludePunctuation", "")).lower() != "true":
            return original(properties)
        excluded = generate.get("ExcludeCharacters", "") + string.punctuation
        changed = {**generate, "ExcludeCharacters": excluded}
        return original({**properties, "GenerateSecretString": changed})

    return secret_string


def _bucket_create(original, bucket_tags):
    """Tags of https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-s3-bucket.html"""

    def create(logical_id, properties, stack_name):
        created = original(logical_id, properties, stack_name)
        tags = {tag["Key"]: tag["Value"] for tag in properties.get("Tags", [])}
        if tags:
            bucket_tags[created[0]] = tags
        return created

    return create


def _supply():
    from ministack.services import ec2, s3
    from ministack.services.cloudformation import provisioners

    handlers = provisioners._RESOURCE_HANDLERS
    for name, authorize, revoke in (
        ("AWS::EC2::SecurityGroupIngress", ec2._authorize_sg_ingress, ec2._revoke_sg_ingress),
        ("AWS::EC2::SecurityGroupEgress", ec2._authorize_sg_egress, ec2._revoke_sg_egress),
    ):
        if name in handlers:
            raise RuntimeError(f"MiniStack has {name} now: take its stand-in away")
        handlers[name] = _security_group_rule(name, authorize, revoke)
    provisioners._sm_secret_string = _secret_string(provisioners._sm_secret_string)
    bucket = handlers["AWS::S3::Bucket"]
    bucket["create"] = _bucket_create(bucket["create"], s3._bucket_tags)


_supply()
