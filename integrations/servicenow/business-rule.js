// Business rule of the table incident: after update, async, condition
// current.state.changesTo('resolved-by-relink') or what stands for it in your process.
// The REST message is rest-message.xml; the secret is a header of it, encrypted.
(function executeRule(current) {
    var request = new sn_ws.RESTMessageV2('Relink', 'Ask for a reset');
    request.setRequestHeader('webhook-id', current.getValue('number') + '-' + current.getValue('sys_mod_count'));
    request.setRequestBody(JSON.stringify({
        target: current.getValue('u_relink_target'),
        requestedBy: gs.getUserName(),
        ticket: {
            system: 'servicenow',
            id: current.getValue('number'),
            url: gs.getProperty('glide.servlet.uri') + current.getLink(true)
        },
        // a reference to sys_user: its user principal name, not the record's id
        subjects: [current.u_affected_user.user_name.toString()]
    }));
    var response = request.execute();
    if (response.getStatusCode() >= 300) {
        gs.error('Relink answered ' + response.getStatusCode() + ' to ' + current.getValue('number'));
    }
})(current);
