# az login; role: Storage Queue Data Message Sender
ID="hr-$(uuidgen | tr 'A-Z' 'a-z')"
BODY=$(printf '{"requestId": "%s", "target": "salesforce-prod", "requestedBy": "hr-sync"}' "$ID")
az storage message put --auth-mode login --account-name ACCOUNT --queue-name provisioning-resets \
  --time-to-live -1 --content "$BODY" --output none
echo "https://APP.azurewebsites.net/api/resets/$ID"
