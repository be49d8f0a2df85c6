"""Who speaks inside the PBX, as somebody says who sees more than the trunk does.

On the trunk side a transfer inside the PBX is invisible. So a call there is recorded only while a *source*
says who is connected with it inside, and each discontinuity asks for that anew. A source is a reader without
I/O (`ami`, `esl`, `dialogs`) in a thin shell (`recorder.service.witnesses`); what it says are
`Statement`s. It says nobody when it is not certain: an ambiguous, a silent and a lost source are no evidence.
"""
